"""RMS norm, fused on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jamba_rl.kernels.layers import find
from jamba_rl.kernels.library import kernels_apply
from jamba_rl.kernels.norm import kernel_rms_norm


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return ``weight * x / sqrt(mean(x^2) + eps)``, the mean over the last axis; x (..., D), weight (D,)."""
    if x.dtype is weight.dtype is torch.float32 and weight.is_cpu and x.shape[-1:] == weight.shape and kernels_apply(x):
        return kernel_rms_norm(x, weight, eps)
    return nn.functional.rms_norm(x, weight.shape, weight, eps)


class RMSNorm(nn.Module):
    """Zhang & Sennrich 2019 over the last axis, with a learned weight; same function as ``torch.nn.RMSNorm``."""

    def __init__(self, features: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (..., D)."""
        return rms_norm(x, find(self, "weight"), self.eps)
