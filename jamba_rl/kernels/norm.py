"""RMS norm on a CPU: calls of the kernels of ``csrc/norm.c``, and the function that autograd knows.

A row has one part, or the three of x_proj's output, each with its own weight.
"""

import struct
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jamba_rl.kernels.library import call, kernels, needs_grad

_NORM = struct.Struct("4qd10q")
_PARTS = 3

Weights = tuple[Tensor, ...]


def kernel_rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return ``weight * x / rms(x)`` for x of shape (..., D), float32 on the CPU."""
    if needs_grad((x, weight)):
        y: Tensor = _KernelRMSNorm.apply(x, weight, eps)
        return y
    return _whole_rows(x.contiguous(), weight.contiguous(), eps)


def norm_forward(x: Tensor, weights: Weights, eps: float) -> Tensor:
    """Return each part of the rows of x divided by its root mean square, times its weight; all tensors contiguous."""
    y = torch.empty_like(x)
    call(kernels().norm_forward, _pack(x, weights, eps, y.data_ptr(), 0, 0, 0, 0, 0))
    return y


def _whole_rows(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return the same for rows of one part, in fewer lines: a step of a stack does this many times."""
    y, size = torch.empty_like(x), weight.shape[0]
    packed = _NORM.pack(
        x.numel() // size, size, 0, 0, eps, x.data_ptr(), weight.data_ptr(), 0, 0, y.data_ptr(), 0, 0, 0, 0, 0
    )
    call(kernels().norm_forward, packed)
    return y


def norm_backward(x: Tensor, weights: Weights, eps: float, dy: Tensor) -> tuple[Tensor, Weights]:
    """Return the gradients of x and of the weights; all tensors contiguous."""
    dx = x.new_empty(*x.shape)
    dweights = tuple(weight.new_empty(*weight.shape) for weight in weights)
    addresses = [dweight.data_ptr() for dweight in dweights] + [0] * (_PARTS - len(weights))
    call(kernels().norm_backward, _pack(x, weights, eps, 0, dy.data_ptr(), dx.data_ptr(), *addresses))
    return dx, dweights


def _pack(x: Tensor, weights: Weights, eps: float, *results: int) -> bytes:
    absent = [0] * (_PARTS - len(weights))
    sizes = [weight.shape[0] for weight in weights] + absent
    addresses = [weight.data_ptr() for weight in weights] + absent
    return _NORM.pack(x.numel() // x.shape[-1], *sizes, eps, x.data_ptr(), *addresses, *results)


class _KernelRMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        x, weight = x.contiguous(), weight.contiguous()
        ctx.save_for_backward(x, weight)
        ctx.eps = eps
        return _whole_rows(x, weight, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dx, (dweight,) = norm_backward(x, (weight,), ctx.eps, dy.contiguous())
        return dx, dweight, None
