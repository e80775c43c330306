"""From what a user names to a `Task`: a task's name, a YAML file, or any gymnasium id."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import gymnasium

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.tasks.spec import Task, env_name


def load_task(name: str) -> Task:
    """Read a task.

    Protocol values come from the task's own YAML, then from its sighted twin's, then from
    ``envs/default.yaml``. A gymnasium id takes those of the task that is that env and nothing
    else; with another version of it, if none has this one.

    :param name: a name out of ``envs/``, a path of such a file, or a gymnasium id
    :raises UserError: names the nearest task or id
    """
    if name in catalogue.names("envs"):
        return _from_file(catalogue.find("envs", name))
    if _is_registered(name):
        return _from_id(name)
    if name.endswith(catalogue.SUFFIXES):
        return _from_file(catalogue.find("envs", name))
    raise catalogue.unknown("env", name, [*catalogue.names("envs"), *gymnasium.registry])


def _from_file(path: Path) -> Task:
    data = catalogue.load(path)
    protocol = data.get("protocol", {})
    if not isinstance(protocol, dict):
        raise UserError(f"{path}: protocol: needs keys and values, was {protocol!r}")
    merged = catalogue.merge(_inherited_protocol(data.get("sighted"), path), protocol)
    return catalogue.check(Task, {"name": path.stem, **data, "protocol": merged}, path)


def _inherited_protocol(sighted: object, path: Path) -> dict[str, Any]:
    """What a task's protocol builds on: its twin's, since the two are compared, or the default."""
    default = catalogue.load(catalogue.folder("envs") / "default.yaml")["protocol"]
    if sighted is None:
        return default
    try:
        twin = catalogue.load(catalogue.find("envs", str(sighted)))
    except UserError as error:
        raise UserError(f"{path}: sighted: {error}") from error
    return catalogue.merge(default, twin.get("protocol", {}))


def _from_id(env_id: str) -> Task:
    default = catalogue.load(catalogue.folder("envs") / "default.yaml")["protocol"]
    protocol = catalogue.merge(default, _protocol_of_base(env_id))
    return catalogue.check(Task, {"name": env_id, "base": env_id, "protocol": protocol}, env_id)


def _protocol_of_base(env_id: str) -> dict[str, Any]:
    plain = {}
    for name in catalogue.names("envs"):
        data = catalogue.load(catalogue.folder("envs") / f"{name}.yaml")
        if data.keys() <= {"description", "base", "protocol"}:
            plain[data.get("base", "")] = data.get("protocol", {})
    if env_id in plain:
        return plain[env_id]
    return next((protocol for base, protocol in plain.items() if env_name(base) == env_name(env_id)), {})


def _is_registered(env_id: str) -> bool:
    """Whether gymnasium knows an id; ``module:id`` imports the module first, as gymnasium does."""
    module, _, bare = env_id.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UserError(f"env {env_id!r}: cannot import {module!r}: {error}") from error
    return bare in gymnasium.registry
