"""One step of a whole layer of windowed attention on a CPU, without a graph: a call of ``csrc/attention_layer.c``.

Letters of the shape suffixes: B batch, D features of the layer, H heads, K features of a head, W window, V = W - 1.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from jamba_rl.kernels.layers import Parameters, Shapes, is_float, is_reset, readable
from jamba_rl.kernels.library import address, by_heads, call, kernels, seq, thread_count

_STEP = struct.Struct("5qd18q")


class StepSizes(NamedTuple):
    """The sizes of a layer, and the base of its rotary positions, 0 where it has none."""

    H: int
    K: int
    W: int
    rope_base: float


def step_applies(
    sizes: StepSizes, shapes: Shapes, parameters: Parameters, x: Tensor, state: Sequence[Tensor], reset: Tensor | None
) -> bool:
    """Return whether :func:`kernel_step` can do it: everything fits, is float32 and on the CPU, and needs no graph.

    ``shapes`` are those that the parameters must have, None where there must be none.
    """
    if not readable(x, shapes, parameters, state):
        return False
    H, K, W, _ = sizes
    batch = x.shape[0] if x.dim() else 0
    keys_BVHK, values_BVHK, age_B = state
    cache = (batch, W - 1, H, K)
    return (
        batch > 0
        and is_float(x, (batch, H * K))
        and is_float(keys_BVHK, cache)
        and is_float(values_BVHK, cache)
        and (age_B.dtype is torch.int64 and age_B.shape == (batch,) and age_B.is_cpu)
        and is_reset(reset, batch)
    )


def kernel_step(
    sizes: StepSizes, parameters: Parameters, x: Tensor, state: Sequence[Tensor], reset: Tensor | None
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Return the output ``[B,D]`` of the layer and its new state.

    Args:
        sizes: of the layer.
        parameters: in the order of the struct in ``csrc/attention_layer.c``.
        x: ``[B,D]``.
        state: ``[B,V,H,K]`` twice and ``[B]``; not changed.
        reset: ``[B]`` or None.
    """
    x, keys_BVHK, values_BVHK, age_B = x.contiguous(), by_heads(state[0]), by_heads(state[1]), state[2].contiguous()
    reset = None if reset is None else reset.contiguous()
    H, K, W, rope_base = sizes
    batch, features = x.shape
    y, new_age_B = torch.empty_like(x), torch.empty_like(age_B)
    new_keys_BVHK, new_values_BVHK = x.new_empty(batch, W - 1, H, K), x.new_empty(batch, W - 1, H, K)
    packed = _STEP.pack(
        batch, H, K, W,
        thread_count(batch * features * (features + 2 * W)),  # products are faster than what else there is
        rope_base,
        *map(address, parameters),
        x.data_ptr(), *seq(keys_BVHK), *seq(values_BVHK), age_B.data_ptr(), address(reset),
        y.data_ptr(), new_keys_BVHK.data_ptr(), new_values_BVHK.data_ptr(), new_age_B.data_ptr(),
    )  # fmt: skip
    call(kernels().attention_layer, packed)
    return y, (new_keys_BVHK, new_values_BVHK, new_age_B)
