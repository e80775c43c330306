"""RMS norm of the three parts of x_proj's output on a CPU: calls of the kernels of ``csrc/norm.c``.

Letters of the shape suffixes: M rows, P = R + 2 N columns, in parts of R, N and N.
"""

import struct

from torch import Tensor

from jamba_rl.nn.scan.kernel import call, kernels

_NORM = struct.Struct("4qd10q")

Weights = tuple[Tensor, Tensor, Tensor]


def norm_forward(x_MP: Tensor, weights: Weights, eps: float) -> Tensor:
    """Return each part of the rows divided by its root mean square, times its weight; all tensors contiguous."""
    y_MP = x_MP.new_empty(*x_MP.shape)
    call(kernels().norm_forward, _pack(x_MP, weights, eps, y_MP.data_ptr(), 0, 0, 0, 0, 0))
    return y_MP


def norm_backward(x_MP: Tensor, weights: Weights, eps: float, dy_MP: Tensor) -> tuple[Tensor, Weights]:
    """Return the gradients of x and of the three weights; all tensors contiguous."""
    dx_MP = x_MP.new_empty(*x_MP.shape)
    first, second, third = (weight.new_empty(*weight.shape) for weight in weights)
    gradients = (dx_MP.data_ptr(), first.data_ptr(), second.data_ptr(), third.data_ptr())
    call(kernels().norm_backward, _pack(x_MP, weights, eps, 0, dy_MP.data_ptr(), *gradients))
    return dx_MP, (first, second, third)


def _pack(x_MP: Tensor, weights: Weights, eps: float, *results: int) -> bytes:
    sizes = [weight.shape[0] for weight in weights]
    addresses = [weight.data_ptr() for weight in weights]
    return _NORM.pack(x_MP.shape[0], *sizes, eps, x_MP.data_ptr(), *addresses, *results)
