"""What a task's YAML may say of its sensors."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt, PlainValidator, PositiveInt

from jamba_rl.catalogue import Data
from jamba_rl.tasks.sensors.parts import as_part

PartInYaml = Annotated[int | str, PlainValidator(as_part)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


def _deviation(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value < math.inf:
        return float(value)
    raise ValueError(f"a standard deviation is a number, 0 or above, was {value!r}")


def _noise(value: Any) -> float | dict[str, float]:
    if not isinstance(value, dict):
        return _deviation(value)
    for part in value:  # keys of JSON are words, numbers too
        as_part(int(part) if str(part).isdecimal() else part)
    return {str(part): _deviation(deviation) for part, deviation in value.items()}


class Dropout(Data):
    """How often measurements are lost, and 0 is shown: all of a step (``frames``), or each for itself (``sensors``)."""

    frames: Fraction = 0.0
    sensors: Fraction = 0.0


class Freeze(Data):
    """How often a sensor gets stuck, at each step, and for how many steps it then shows the same."""

    probability: Fraction
    steps: PositiveInt


class Cue(Data):
    """Parts that are only shown in the first ``steps`` observations of an episode, and 0 from then on."""

    shown: tuple[PartInYaml, ...]
    steps: PositiveInt


class Seen(Data):
    """What of an env is seen, and how well; parts are observation numbers, or words where the env is known.

    ``hide`` leaves parts out, ``keep`` all others. ``noise`` is a standard deviation in the unit of the observation:
    one for all sensors, or by part. Measurements arrive ``delay`` steps late; until then the first one is shown.
    """

    hide: tuple[PartInYaml, ...] = ()
    keep: tuple[PartInYaml, ...] | None = None
    noise: Annotated[float | dict[str, float], PlainValidator(_noise)] = 0.0
    dropout: Dropout = Dropout()
    freeze: Freeze | None = None
    delay: NonNegativeInt = 0
    cue: Cue | None = None

    @property
    def changes(self) -> dict[str, Any]:
        """The keys by which what is seen differs from what is there."""
        fields = Seen.model_fields
        return {name: getattr(self, name) for name in fields if getattr(self, name) != fields[name].default}
