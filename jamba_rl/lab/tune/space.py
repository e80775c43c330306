"""What is tried of an agent: ranges out of ``agents/search/``, or of a file of the user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from jamba_rl import catalogue
from jamba_rl.catalogue import Data, UserError
from jamba_rl.lab.agent import AnyAgent, load_agent
from jamba_rl.lab.config import split_settings
from jamba_rl.lab.tune.dimension import Dimension
from jamba_rl.nn.patterns import MIXERS
from jamba_rl.tasks import Task
from jamba_rl.tasks.spec import PARTS_BY_NAME

ALL = "all"
Space = dict[str, Dimension]
"""By dotted keys, as of ``--set``."""


class SearchFile(Data):
    """A file of ranges.

    ``search`` has those of an agent: under ``all``, and under the letters of the layers that a network must have.
    ``protocol`` has those of its part of the task's protocol.
    """

    search: dict[str, dict[str, dict[str, Any]]]
    protocol: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("search")
    @classmethod
    def _letters(cls, search: dict[str, Any]) -> dict[str, Any]:
        for name in search:
            if name != ALL and not set(name) <= MIXERS.keys():
                raise ValueError(f"{name!r} must be {ALL}, or layers out of {', '.join(MIXERS)}")
        return search


def load_space(
    agent_name: str, file: Path | None, task: Task, protocol: bool = False, settings: Sequence[str] = ()
) -> Space:
    """Read what is tried of an agent, and make sure that each value is one it can have.

    :param file: default the algorithm's own
    :param protocol: try what belongs to the task too
    :param settings: ``KEY=VALUE`` that hold in all trials, and are not tried
    :raises UserError: names file, key and the nearest valid choice
    """
    given, _ = split_settings(settings, type(load_agent(agent_name)))
    agent = load_agent(agent_name, given)
    path = file or catalogue.folder("agents") / "search" / f"{agent.algorithm}.yaml"
    found = catalogue.check(SearchFile, catalogue.load(path), path)
    space: Space = {}
    for letters, written in found.search.items():
        part = _dimensions(written, f"{path}: search.{letters}")
        if letters == ALL or set(letters) <= set(agent.network.pattern):
            _check_agent(agent_name, agent, given, part, f"{path}: search.{letters}")
            space |= part
    part = _dimensions(found.protocol, f"{path}: protocol")
    if protocol:
        _check_protocol(task, agent, part, f"{path}: protocol")
        space |= part
    fixed = {setting.partition("=")[0] for setting in settings}
    space = {key: dimension for key, dimension in space.items() if key not in fixed}
    if not space:
        raise UserError(f"{path}: nothing is left to try of agent {agent.name!r}; give other ranges with --space FILE")
    return space


def nested(dotted: str, value: Any) -> dict[str, Any]:
    """A value under its dotted key.

    >>> nested("network.window", 8)
    {'network': {'window': 8}}
    """
    for key in reversed(dotted.split(".")):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def _dimensions(part: Mapping[str, dict[str, Any]], source: str) -> Space:
    return {key: catalogue.check(Dimension, values, f"{source}.{key}") for key, values in part.items()}


def _check_agent(name: str, agent: AnyAgent, given: Mapping[str, Any], space: Space, source: str) -> None:
    for key, dimension in space.items():
        first = key.partition(".")[0]
        if first in PARTS_BY_NAME[agent.part].model_fields.keys() - set(type(agent).keys()):
            raise UserError(f"{source}: {key!r} belongs to the task: it goes under protocol")
        for value in dimension.examples:
            load_agent(name, catalogue.merge(given, nested(key, value)), source)


def _check_protocol(task: Task, agent: AnyAgent, space: Space, source: str) -> None:
    for key, dimension in space.items():
        if key == "n_envs":
            raise UserError(f"{source}: n_envs cannot be tried: give it with --n-envs")
        for value in dimension.examples:
            over = {"protocol": {agent.part: {key: value}}}
            catalogue.check(Task, catalogue.merge(task.model_dump(mode="json"), over), source)
