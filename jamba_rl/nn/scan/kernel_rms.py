"""RMS norm over the last axis on a CPU: the kernels of ``csrc/norm.c`` with one part, and their autograd function."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jamba_rl.nn.scan.kernel import needs_grad
from jamba_rl.nn.scan.kernel_norm import norm_backward, norm_forward


def kernel_rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return ``weight * x / rms(x)`` for x of shape (..., D), float32 on the CPU."""
    if needs_grad((x, weight)):
        y: Tensor = _KernelRMSNorm.apply(x, weight, eps)
        return y
    return norm_forward(x.contiguous(), (weight.contiguous(),), eps)


class _KernelRMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        x, weight = x.contiguous(), weight.contiguous()
        ctx.save_for_backward(x, weight)
        ctx.eps = eps
        return norm_forward(x, (weight,), eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dx, (dweight,) = norm_backward(x, (weight,), ctx.eps, dy.contiguous())
        return dx, dweight, None
