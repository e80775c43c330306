"""One step of a whole Mamba layer on a CPU, without a graph: a call of the kernel of ``csrc/mamba_step.c``.

Rollouts live on it: called one after the other, the parts of a layer cost more than their work.

Letters of the shape suffixes: B batch, D features of the layer, E channels, N state size per channel, R rank of dt, W
width of the filter, V = W - 1, Q pairs of states that turn.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from jamba_rl.kernels.layers import Parameters, Shapes, is_float, is_reset, readable
from jamba_rl.kernels.library import address, call, kernels, thread_count

_STEP = struct.Struct("8qd22q")
_MAX_STATES, _MAX_WIDTH = 256, 32


class StepSizes(NamedTuple):
    """The sizes of a layer, and the epsilon of its norms."""

    D: int
    E: int
    N: int
    R: int
    W: int
    Q: int
    eps: float


def step_applies(
    sizes: StepSizes, shapes: Shapes, parameters: Parameters, x: Tensor, state: Sequence[Tensor], reset: Tensor | None
) -> bool:
    """Return whether :func:`kernel_step` can do it: everything fits, is float32 and on the CPU, and needs no graph.

    ``shapes`` are those that the parameters must have, None where there must be none.
    """
    if not readable(x, shapes, parameters, state):
        return False
    batch = x.shape[0] if x.dim() else 0
    if not batch or sizes.N > _MAX_STATES or sizes.W > _MAX_WIDTH or not is_reset(reset, batch):
        return False
    conv_state_BVE, ssm_state_BEN = state
    return (
        is_float(x, (batch, sizes.D))
        and is_float(conv_state_BVE, (batch, sizes.W - 1, sizes.E))
        and is_float(ssm_state_BEN, (batch, sizes.E, sizes.N))
    )


def kernel_step(
    sizes: StepSizes, parameters: Parameters, x: Tensor, state: Sequence[Tensor], reset: Tensor | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return the output ``[B,D]`` of the layer and its new state.

    Args:
        sizes: of the layer.
        parameters: in the order of the struct in ``csrc/mamba_step.c``.
        x: ``[B,D]``.
        state: ``[B,V,E]`` and ``[B,E,N]``; not changed.
        reset: ``[B]`` or None.
    """
    x, conv_state_BVE, ssm_state_BEN = x.contiguous(), state[0].contiguous(), state[1].contiguous()
    reset = None if reset is None else reset.contiguous()
    y, new_conv_BVE = torch.empty_like(x), torch.empty_like(conv_state_BVE)
    new_ssm_BEN = torch.empty_like(ssm_state_BEN)
    D, E, N, R, W, Q, eps = sizes
    batch = x.shape[0]
    packed = _STEP.pack(
        batch, D, E, N, R, W, Q,
        thread_count(batch * E * (3 * D + 2 * R + 3 * N)),
        eps,
        *map(address, parameters),
        x.data_ptr(), conv_state_BVE.data_ptr(), ssm_state_BEN.data_ptr(), address(reset),
        y.data_ptr(), new_conv_BVE.data_ptr(), new_ssm_BEN.data_ptr(),
    )  # fmt: skip
    call(kernels().mamba_step, packed)
    return y, (new_conv_BVE, new_ssm_BEN)
