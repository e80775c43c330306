"""The dense feed-forward of a block."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from jamba_rl.kernels.feedforward import feedforward_applies, kernel_feedforward
from jamba_rl.kernels.layers import find_all, only_multiplies, shapes_of
from jamba_rl.kernels.linear import linear
from jamba_rl.nn.config import JambaConfig

# In the order of the kernel.
_PARAMETERS = (("in_proj", "weight"), ("in_proj", "bias"), ("out_proj", "weight"), ("out_proj", "bias"))


def activate(hidden: Tensor, act: str) -> Tensor:
    """Apply ``gelu``, ``silu`` or ``swiglu`` (Shazeer 2020, arXiv 2002.05202: SiLU(gate) * up), which halves the width.

    :param hidden: (..., F), for ``swiglu`` (..., 2F) with the gate first
    """
    if act == "swiglu":
        gate, up = hidden.chunk(2, -1)
        return F.silu(gate) * up
    return F.gelu(hidden) if act == "gelu" else F.silu(hidden)


def input_width(act: str, width: int) -> int:
    """Return how many features ``activate`` needs to give ``width``."""
    return 2 * width if act == "swiglu" else width


class FeedForward(nn.Module):
    """out(act(in(x))), the same for every step."""

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.act = config.ffn_act
        self.in_proj = nn.Linear(config.d_model, input_width(self.act, config.d_ffn), bias=config.ffn_bias)
        self.out_proj = nn.Linear(config.d_ffn, config.d_model, bias=config.ffn_bias)
        self._features, self._hidden = config.d_model, config.d_ffn
        self._shapes = shapes_of(find_all(self, _PARAMETERS))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to (..., D)."""
        modules = self._modules
        if x.dim() == 2 and only_multiplies(modules["in_proj"]) and only_multiplies(modules["out_proj"]):
            parameters = find_all(self, _PARAMETERS)
            if feedforward_applies(self._features, self._shapes, parameters, x):
                return kernel_feedforward(self.act, self._hidden, parameters, x)
        return linear(self.out_proj, activate(linear(self.in_proj, x), self.act))
