"""Agents of SAC."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import NonNegativeInt, PlainValidator, PositiveFloat, PositiveInt

from jamba_rl.lab.agent.base import Agent, RecurrentAgent
from jamba_rl.tasks.spec import PartName


def _entropy_weight(value: Any) -> float | str:
    if value == "auto" or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf):
        return value
    raise ValueError(f"must be a number, 0 or above, or auto, was {value!r}")


class SACHyperparameters(Agent):
    """What every SAC needs; the names are those of SB3's ``SAC``.

    ``buffer_size`` counts env steps. ``ent_coef`` is a number, or ``auto`` to learn it.
    """

    part: ClassVar[PartName] = "sac"

    buffer_size: PositiveInt
    tau: PositiveFloat
    ent_coef: Annotated[float | str, PlainValidator(_entropy_weight)]


class SACAgent(SACHyperparameters, RecurrentAgent):
    """``RecurrentSAC``, whose memory is carried from step to step; its docstring and its policy's explain the keys."""

    algorithm: Literal["sac"]
    sequence_length: PositiveInt
    burn_in: NonNegativeInt
    stored_state: bool
    windows_in_a_row: PositiveInt | None
    n_steps: PositiveInt
    n_critics: PositiveInt
    target_critics: PositiveInt | None
    critic_layer_norm: bool
