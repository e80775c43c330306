"""What the models of all algorithms are made with."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import LinearSchedule
from torch import nn

from jamba_rl.lab.agent import Agent, RecurrentAgent
from jamba_rl.tasks import Task

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU}


def learning_rate(agent: Agent) -> float | Schedule:
    """The learning rate, or how it falls to 0."""
    rate = agent.learning_rate
    return rate if agent.learning_rate_schedule == "constant" else LinearSchedule(rate, 0.0, 1.0)


def memory(agent: RecurrentAgent, task: Task) -> dict[str, Any]:
    """Arguments of every policy whose memory is carried from step to step."""
    names = (
        "shared_encoder", "encoder_learning_rate_ratio", "previous_action", "observation_change", "frames",
        "image_encoder",
    )  # fmt: skip
    own = {name: getattr(agent, name) for name in names}
    if own["previous_action"] is None and task.hide_action:
        own["previous_action"] = False
    return network_and_heads(agent) | own


def network_and_heads(agent: Agent) -> dict[str, Any]:
    """Arguments of every policy."""
    return {
        "network": agent.network,
        "net_arch": list(agent.policy.net_arch),
        "activation_fn": ACTIVATIONS[agent.policy.activation],
    }
