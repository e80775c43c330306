"""The position-wise half of a block."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from jamba_rl.nn.config import JambaConfig


class SwiGLU(nn.Module):
    """out(SiLU(gate(x)) * up(x)), bias-free (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        hidden = round(config.ffn_mult * config.d_model)
        self.in_proj = nn.Linear(config.d_model, 2 * hidden, bias=False)
        self.out_proj = nn.Linear(hidden, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to (..., D)."""
        gate, up = self.in_proj(x).chunk(2, -1)
        return self.out_proj(F.silu(gate) * up)
