"""The first values of a stack's parameters, where they are not those of its layers."""

from __future__ import annotations

import torch
from torch import nn

from jamba_rl.nn.config import JambaConfig

# What a branch adds to the residual stream comes through these.
OUTPUTS = ("out_proj.weight", "out_proj.bias", "experts.out_proj", "experts.out_bias")
KEPT = ("A_log", "dt_proj.weight", "dt_proj.bias", "log_dt", "lag_bias")  # these say how long a memory lasts


@torch.no_grad()
def initialise(stack: nn.Module, config: JambaConfig) -> None:
    """Draw matrices from N(0, init_std) and zero biases if the configuration says so; then scale down the branches."""
    for name, parameter in stack.named_parameters():
        if config.init_std is not None and not name.endswith(KEPT):
            if parameter.dim() >= 2 and not name.endswith("_bias"):
                parameter.normal_(std=config.init_std)
            elif "bias" in name.rpartition(".")[2]:
                parameter.zero_()
        if name.endswith(OUTPUTS):
            parameter.mul_(config.branch_scale)
