"""Which parameters weight decay may shrink."""

from __future__ import annotations

from typing import Any

from torch import nn

from jamba_rl.nn.experts import Experts
from jamba_rl.nn.router import Router

DECAYED_LAYERS = (nn.Linear, Experts, Router, nn.RNNBase)


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return two groups for an optimizer: matrices with weight decay, all else without.

    Matrices are the weights of linear and recurrent layers, routers and experts. Not decayed are biases, norms,
    embeddings, convolutions, and what says how long a memory lasts: Mamba's ``A_log`` (a matrix by shape only), ``D``
    and time steps, the rates of a linear SSM, the biases of attention's lags.

    >>> groups = parameter_groups(nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3)), 0.1)
    >>> [(group["weight_decay"], len(group["params"])) for group in groups]
    [(0.1, 1), (0.0, 3)]
    """
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for layer in module.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            matrix = isinstance(layer, DECAYED_LAYERS) and parameter.dim() >= 2 and "bias" not in name
            (decayed if matrix and parameter.requires_grad else others).append(parameter)
    unique = {id(parameter): parameter for parameter in others if parameter.requires_grad}
    for parameter in decayed:
        unique.pop(id(parameter), None)  # a tied embedding is the matrix it is tied to
    return [
        {"params": list({id(parameter): parameter for parameter in decayed}.values()), "weight_decay": weight_decay},
        {"params": list(unique.values()), "weight_decay": 0.0},
    ]
