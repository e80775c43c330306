"""Agents of Stable-Baselines3's own algorithms, which read their memory anew from a window of the past."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from jamba_rl.lab.agent.base import Agent
from jamba_rl.lab.agent.ppo import PPOHyperparameters
from jamba_rl.tasks.spec import PartName


class WindowAgent(Agent):
    """What agents of stock algorithms have; ``history`` is how many steps they look back on, the present included."""

    history: PositiveInt


class StockPPOAgent(PPOHyperparameters, WindowAgent):
    """SB3's ``PPO`` on histories."""

    algorithm: Literal["sb3-ppo"]


class StockSACAgent(WindowAgent):
    """SB3's ``SAC`` on histories; the names are its own.

    ``buffer_size`` counts env steps. ``ent_coef`` is a number, or ``auto`` to learn it.
    ``share_features_extractor`` gives actor and critic one memory, which the critic trains.
    """

    part: ClassVar[PartName] = "sac"

    algorithm: Literal["sb3-sac"]
    buffer_size: PositiveInt
    tau: PositiveFloat
    ent_coef: NonNegativeFloat | Literal["auto"]
    share_features_extractor: bool
