"""How large a model is."""

from __future__ import annotations

from stable_baselines3.common.policies import BasePolicy

from jamba_rl.nn.accounting import Parameters, count_parameters


def learned_parameters(policy: BasePolicy) -> Parameters:
    """Count what a policy learns: a target network, which follows the critic, does not count a second time."""
    found, target = count_parameters(policy), getattr(policy, "critic_target", None)
    if target is None:
        return found
    copies = count_parameters(target)
    return Parameters(found.total - copies.total, found.active - copies.active, found.embedding - copies.embedding)
