"""What a report needs to know of a run's files; whatever else they hold is none of its business."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, FiniteFloat, PositiveInt, field_validator

from jamba_rl import catalogue
from jamba_rl.catalogue import Data
from jamba_rl.lab.start import Start
from jamba_rl.lab.stop import Stop

ALGORITHMS = ("ppo", "sac", "sb3-ppo", "sb3-sac")
PARTS = ("ppo", "sac")  # of a protocol: an agent goes by the one that its algorithm is named after
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
EnvName = Annotated[str, Field(min_length=1, max_length=200)]  # it is part of the name of a file


class Reference(Data, extra="ignore"):
    """Returns that scores are measured by."""

    random: FiniteFloat | None = None
    score: FiniteFloat | None = None
    source: str | None = None


class Protocol(Data, extra="ignore"):
    """What it needs to know of a protocol: the env steps that an agent may take."""

    steps: PositiveInt | None = None


class Task(Data, extra="ignore"):
    """What a report needs to know of a task."""

    name: EnvName
    description: str = ""
    sighted: str | None = None
    reference: Reference | None = None
    protocol: Protocol = Protocol()


class Agent(Data, extra="ignore"):
    """What a report needs to know of an agent."""

    name: Annotated[str, Field(min_length=1)]
    description: str = ""
    algorithm: str

    @field_validator("algorithm")
    @classmethod
    def _check_algorithm(cls, algorithm: str) -> str:
        if algorithm not in ALGORITHMS:
            raise catalogue.unknown("algorithm", algorithm, ALGORITHMS)
        return algorithm


class Config(Data, extra="ignore"):
    """What a report needs of config.yaml."""

    task: Task
    agent: Agent
    seed: int
    stop: Stop | None = None
    start: Start | None = None


class Result(Data, extra="ignore"):
    """What a report needs of result.json; the last two are younger than the rest."""

    step: PositiveInt
    steps_per_second: Positive
    parameters: PositiveInt
    active_parameters: PositiveInt | None = None
    predict_ms: Positive | None = None
    peak_memory_mb: Positive | None = None
