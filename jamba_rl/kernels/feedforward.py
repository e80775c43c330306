"""A whole dense feed-forward on few rows on a CPU, without a graph: a call of the kernel of ``csrc/feedforward.c``.

Letters of the shape suffixes: B batch, D features, F hidden features.
"""

import struct

import torch
from torch import Tensor

from jamba_rl.kernels.layers import Parameters, Shapes, is_float, readable
from jamba_rl.kernels.library import address, call, kernels, thread_count

_LAYER = struct.Struct("11q")
_ACTS = {"silu": 0, "gelu": 1, "swiglu": 2}
# Of more rows the calls cost nothing beside the products, and torch's are made for many.
_MAX_ROWS = 256


def feedforward_applies(features: int, shapes: Shapes, parameters: Parameters, x: Tensor) -> bool:
    """Return whether :func:`kernel_feedforward` can do it: everything fits, is float32 and on the CPU, needs no graph.

    ``shapes`` are those that the parameters must have, None where there must be none.
    """
    batch = x.shape[0]
    return 0 < batch <= _MAX_ROWS and readable(x, shapes, parameters) and is_float(x, (batch, features))


def kernel_feedforward(act: str, hidden: int, parameters: Parameters, x: Tensor) -> Tensor:
    """Return the output ``[B,D]`` for x ``[B,D]``.

    Args:
        act: the activation.
        hidden: F.
        parameters: in the order of the struct in ``csrc/feedforward.c``.
        x: ``[B,D]``.
    """
    x = x.contiguous()
    batch, features = x.shape
    y = torch.empty_like(x)
    work = batch * features * hidden  # a fraction of the multiplications: products are faster than what else there is
    packed = _LAYER.pack(
        batch, features, hidden, _ACTS[act], thread_count(work), *map(address, parameters), x.data_ptr(), y.data_ptr()
    )
    call(kernels().feedforward, packed)
    return y
