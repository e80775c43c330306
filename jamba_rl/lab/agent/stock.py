"""Agents of Stable-Baselines3's own algorithms, which read their memory anew from a window of the past."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import PlainValidator, PositiveFloat, PositiveInt

from jamba_rl.lab.agent.base import Agent
from jamba_rl.lab.agent.ppo import PPOHyperparameters
from jamba_rl.tasks.spec import PartName


def _entropy_weight(value: Any) -> float | str:
    if value == "auto" or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf):
        return value
    raise ValueError(f"must be a number, 0 or above, or auto, was {value!r}")


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
    ent_coef: Annotated[float | str, PlainValidator(_entropy_weight)]
    share_features_extractor: bool
