"""Linear layers by oneDNN, which ships with torch: on CPUs with AVX-512 up to twice as fast as MKL for wide layers.

torch itself calls MKL for float32. Only the product by the weights and that by their transpose gain; for gradients of
weights MKL is as good.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from jamba_rl.kernels.layers import find, only_multiplies
from jamba_rl.kernels.library import kernels_apply, needs_grad

_HAS_ONEDNN = torch.backends.mkldnn.is_available()
_MIN_ROWS, _MIN_WORK = 128, 1 << 21  # of fewer multiplications the call costs more than it saves


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """Return ``layer(x)``, the same numbers to rounding."""
    rows = x.shape[:-1].numel()
    if rows < _MIN_ROWS or not (only_multiplies(layer) and kernels_apply(x) and _onednn_applies()):
        return _called(layer, x)
    weight = find(layer, "weight")
    floats = x.dtype is weight.dtype is torch.float32
    if rows * weight.numel() < _MIN_WORK or not (floats and weight.is_contiguous() and weight.is_cpu):
        return _called(layer, x)
    bias = find(layer, "bias")
    if needs_grad((x, weight, bias)):
        y: Tensor = _Linear.apply(x, weight, bias)
        return y
    return _product(x, weight, bias)


def _called(layer: nn.Linear, x: Tensor) -> Tensor:
    y: Tensor = layer(x)
    return y


def _onednn_applies() -> bool:
    return bool(_HAS_ONEDNN and torch.backends.mkldnn.enabled and not torch.is_autocast_enabled("cpu"))


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return y


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dy_MF = dy.reshape(-1, dy.shape[-1])
        dx = _product(dy, weight.t()) if ctx.needs_input_grad[0] else None
        dweight = torch.mm(dy_MF.t(), x.reshape(-1, x.shape[-1]))
        return dx, dweight, dy_MF.sum(0) if ctx.has_bias else None
