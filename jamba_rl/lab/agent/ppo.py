"""Agents of PPO."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import PositiveFloat

from jamba_rl.lab.agent.base import Agent, RecurrentAgent
from jamba_rl.tasks.spec import Fraction, PartName


class PPOHyperparameters(Agent):
    """What every PPO needs; the names are those of SB3's ``PPO``."""

    part: ClassVar[PartName] = "ppo"

    clip_range: PositiveFloat
    max_grad_norm: PositiveFloat
    target_kl: PositiveFloat | None


class PPOAgent(PPOHyperparameters, RecurrentAgent):
    """``RecurrentPPO``, whose memory is carried from step to step; its docstring explains the keys."""

    algorithm: Literal["ppo"]
    observation_sum: bool | None
    warm_up: Fraction
