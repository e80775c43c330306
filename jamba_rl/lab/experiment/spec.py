"""What an experiment is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeFloat, NonNegativeInt, field_validator

from jamba_rl.catalogue import Data
from jamba_rl.lab.stop import Stop

FIRST_SEED = 100  # seeds below are for tuning
NAME = r"^[\w.+=-]+$"
PLAIN = "plain"  # a probe that changes nothing, which the others are measured by
DIFFER = ("network", "frames")  # what compared agents always may differ in


class Contestant(Data):
    """An agent of a grid: a known one, or a variant of one with a name of its own.

    ``start`` names an env: it begins with the backbone that the known one has learned there.
    """

    origin: str = Field(alias="from")
    name: str | None = Field(default=None, pattern=NAME)
    settings: dict[str, Any] = Field(default_factory=dict, alias="set")
    start: str | None = None


class Probe(Data):
    """How a trained agent is evaluated once more: with something taken away that it had in training.

    ``memory: false`` has it forget, before every step, all that it carries from one step to the next. ``noise`` goes on
    every observation, in place of the task's own: a standard deviation in the unit of the observation.
    """

    name: str = Field(pattern=NAME)
    memory: bool = True
    noise: NonNegativeFloat | None = None


class Grid(Data):
    """Agents x envs x seeds that have the rest in common.

    ``protocol`` goes over the tasks' own, ``set`` over the agents' hyperparameters: for all of them alike. ``differ``
    declares what agents differ in on purpose other than their network, which the report then says. ``probes`` are how
    an agent is also evaluated when it has been trained.
    """

    agents: tuple[Contestant, ...] = Field(min_length=1)
    envs: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[NonNegativeInt, ...] = Field(min_length=1)
    differ: tuple[str, ...] = ()
    protocol: dict[str, Any] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict, alias="set")
    stop: Stop | None = None
    probes: tuple[Probe, ...] = ()

    @field_validator("agents")
    @classmethod
    def _variants_have_names(cls, agents: tuple[Contestant, ...]) -> tuple[Contestant, ...]:
        for agent in agents:
            if (agent.settings or agent.start) and agent.name is None:
                raise ValueError(f"{agent.origin!r} with other settings, or another start, needs a name of its own")
        return agents

    @field_validator("probes")
    @classmethod
    def _probes_have_names_of_their_own(cls, probes: tuple[Probe, ...]) -> tuple[Probe, ...]:
        for i, probe in enumerate(probes):
            if probe.name in (PLAIN, *(other.name for other in probes[:i])):
                raise ValueError(f"the name {probe.name!r} is taken")
        return probes


@dataclass(frozen=True)
class Experiment:
    """A config that was read.

    :ivar grids: each with what to call it in an error
    """

    path: Path
    description: str
    grids: tuple[tuple[str, Grid], ...]

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.stem

    @property
    def differ(self) -> tuple[str, ...]:
        """What the agents of any grid may differ in."""
        return tuple(dict.fromkeys([*DIFFER, *(key for _, grid in self.grids for key in grid.differ)]))

    def as_dict(self) -> dict[str, Any]:
        """What is written down of it, in the form it was read in."""
        grids = [grid.model_dump(mode="json", by_alias=True, exclude_defaults=True) for _, grid in self.grids]
        return {"description": self.description, "grids": grids}
