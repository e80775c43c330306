"""Whether what an experiment compares can be compared; what cannot is said, never left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.agent import AnyAgent
from jamba_rl.lab.build import learned_parameters, make_model
from jamba_rl.lab.config import RunConfig
from jamba_rl.lab.experiment.jobs import Job
from jamba_rl.lab.experiment.spec import DIFFER, Experiment
from jamba_rl.lab.files import replacing
from jamba_rl.lab.run import Run
from jamba_rl.tasks import make_env

WIDEST = 1.1  # parameters of the largest of compared agents, in those of the smallest

Sizes = Mapping[str, Mapping[str, tuple[int, int]]]  # env: {agent: parameters, and those that one step meets}


def measure_sizes(jobs: Sequence[Job]) -> Sizes:
    """Count the parameters of every agent on every env, which also shows whether all of them can be made.

    :raises UserError: if an env cannot be made, or does not suit an agent
    """
    sizes: dict[str, dict[str, tuple[int, int]]] = {}
    for job in _one_of_each(jobs, key=lambda config: (config.task.name, config.agent.name)):
        sizes.setdefault(job.config.task.name, {})[job.config.agent.name] = _size(job)
    return sizes


def _size(job: Job) -> tuple[int, int]:
    result = _result(job)
    if {"parameters", "active_parameters"} <= result.keys():
        return result["parameters"], result["active_parameters"]
    config = job.config
    venv = make_env(config.task, config.part.n_envs, config.seed)
    try:
        size = learned_parameters(make_model(config, venv).policy)
    finally:
        venv.close()
    return size.total, size.active


def _result(job: Job) -> dict[str, Any]:
    """What is known of a finished run; nothing where it is damaged."""
    try:
        return Run(job.folder).result() or {}
    except UserError:
        return {}


def notes_on(jobs: Sequence[Job], experiment: Experiment, sizes: Sizes) -> list[str]:
    """Say in sentences what of a comparison is not alike other than by what it is about."""
    notes = []
    for env, group in _by_env(jobs):
        first, *others = _one_of_each(group, key=lambda config: config.agent.name)
        for other in others:
            keys = [key for key in unlike_agents(first.config, other.config) if key.split(".")[0] not in DIFFER]
            for declared in (True, False):
                found = [key for key in keys if (key.split(".")[0] in experiment.differ) is declared]
                if found:
                    whose = f"On {env}, {other.config.agent.name} and {first.config.agent.name}"
                    how = "differ on purpose" if declared else "also differ, undeclared,"
                    notes.append(f"{whose} {how} in {_listed(found)}.")
        notes += _note_on_size(env, sizes[env])
    return notes


def _note_on_size(env: str, sizes: Mapping[str, tuple[int, int]]) -> list[str]:
    active = {agent: size[1] for agent, size in sizes.items()}
    small, large = min(active, key=active.__getitem__), max(active, key=active.__getitem__)
    few, many = active[small], active[large]
    if many <= WIDEST * few:
        return []
    more = round(100 * (many / few - 1))
    return [f"On {env}, a step of {large} meets {many:,} parameters, {more}% more than the {few:,} of {small}."]


def unlike_agents(one: RunConfig, other: RunConfig) -> list[str]:
    """Keys of two agents on one env, and of their protocols, that have unlike values.

    Of agents of unlike algorithms, those that both have; ``start`` where they do not begin alike.
    """
    a, b = _agent(one.agent), _agent(other.agent)
    keys = [key for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]
    if one.agent.algorithm != other.agent.algorithm:
        keys = [key for key in keys if key in a and key in b]
    if one.start != other.start:
        keys.append("start")
    a, b = _flat(_protocol(one)), _flat(_protocol(other))
    return keys + [f"protocol.{key}" for key in a if key in b and a[key] != b[key]]


def _agent(agent: AnyAgent) -> dict[str, Any]:
    return agent.model_dump(mode="json", exclude={"name", "description"})


def _protocol(config: RunConfig) -> dict[str, Any]:
    """Of the protocol what the agent goes by."""
    data = config.task.protocol.model_dump(mode="json")
    return {key: value for key, value in data.items() if key not in ("ppo", "sac") or key == config.agent.part}


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _by_env(jobs: Sequence[Job]) -> Iterable[tuple[str, list[Job]]]:
    def env(job: Job) -> str:
        return job.config.task.name

    return [(name, list(group)) for name, group in groupby(sorted(jobs, key=env), key=env)]


def _one_of_each(jobs: Iterable[Job], key: Any) -> list[Job]:
    """Of the jobs that a key of the config calls the same, the one of the highest seed, in the order of the first."""
    found: dict[Any, Job] = {}
    for job in jobs:
        known = found.setdefault(key(job.config), job)
        if job.config.seed > known.config.seed:  # where a seed is too large, it is this one
            found[key(job.config)] = job
    return list(found.values())


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def write(experiment: Experiment, results: Path, sizes: Sizes, notes: Sequence[str]) -> None:
    """Write config.yaml and comparison.json, for the report and for who wants to know what was run.

    :raises UserError: if they cannot be written
    """
    comparison = {"config": str(experiment.path), "differ": experiment.differ, "parameters": sizes}
    try:
        with replacing(results / "config.yaml") as path:
            catalogue.dump(experiment.as_dict(), path)
        with replacing(results / "comparison.json") as path:
            path.write_text(json.dumps(comparison | {"notes": list(notes)}, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"cannot write {results}: {error.strerror}") from error
