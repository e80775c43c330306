"""Agents of PPO."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from jamba_rl.lab.agent.base import Agent
from jamba_rl.tasks.spec import Fraction, PartName


class PPOHyperparameters(Agent):
    """What every PPO needs; the names are those of SB3's ``PPO``."""

    part: ClassVar[PartName] = "ppo"

    clip_range: PositiveFloat
    ent_coef: NonNegativeFloat
    vf_coef: NonNegativeFloat
    max_grad_norm: PositiveFloat
    target_kl: PositiveFloat | None


class PPOAgent(PPOHyperparameters):
    """``RecurrentPPO``, whose memory is carried from step to step; its docstring explains the keys.

    ``frames`` is how many normalised observations are seen at once, the present one last: the
    memory of those who have none.
    """

    algorithm: Literal["ppo"]
    sequence_length: Annotated[int, Field(ge=1)] | None
    warm_up: Fraction
    shared_encoder: bool
    encoder_learning_rate_ratio: PositiveFloat
    previous_action: bool | None
    observation_change: bool | None
    frames: PositiveInt
