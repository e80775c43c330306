"""The optimizer of a policy: a slower encoder, and weight decay where it belongs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from jamba_rl.nn import parameter_groups

RATIO = "lr_ratio"  # a key of a parameter group: its learning rate in units of the schedule's


def policy_groups(
    policy: nn.Module, encoders: Iterable[nn.Module], ratio: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Parameter groups of a policy whose encoders learn at their own rate.

    :param ratio: learning rate of the encoders in units of everything else's
    :param weight_decay: of matrices alone, see ``jamba_rl.nn.parameter_groups``
    """
    slower = {id(parameter) for encoder in encoders for parameter in encoder.parameters()}
    whole = parameter_groups(policy, weight_decay) if weight_decay else [{"params": list(policy.parameters())}]
    groups = []
    for group in whole:
        for inside, factor in ((True, ratio), (False, 1.0)):
            params = [parameter for parameter in group["params"] if (id(parameter) in slower) is inside]
            if params:
                groups.append(group | {"params": params, RATIO: factor})
    return groups


def keep_ratios(optimizer: torch.optim.Optimizer) -> None:
    """Set the groups apart again after SB3 has written one learning rate into all of them."""
    for group in optimizer.param_groups:
        group["lr"] *= group.get(RATIO, 1.0)
