"""From what a user names to a `Task`: a task's name, a YAML file, or any gymnasium id."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Any

import gymnasium

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.tasks.recall.popgym import import_popgym
from jamba_rl.tasks.spec import PARTS_BY_NAME, PartName, Task, env_name

OWN_KEYS = ("steps", "evaluation")  # what a part of a protocol may have other than the rest


def load_task(name: str, part: PartName = "ppo") -> Task:
    """Read a task.

    Protocol values come from the task's own YAML, then from its sighted twin's, then from
    ``envs/default.yaml``; reference scores from its own or its twin's. A gymnasium id takes the
    protocol of the task that is that env and nothing else; with another version of it, if none has
    this one. ``steps`` and ``evaluation`` of the chosen part go over those of the whole: SAC needs
    fewer steps than PPO.

    :param name: a name out of ``envs/``, a path of such a file, or a gymnasium id
    :param part: the part of the protocol that the agent goes by
    :raises UserError: names the nearest task or id
    """
    if name in catalogue.names("envs"):
        return _from_file(catalogue.find("envs", name), part)
    if _is_registered(name):
        return _from_id(name, part)
    if name.endswith(catalogue.SUFFIXES):
        return _from_file(catalogue.find("envs", name), part)
    raise catalogue.unknown("env", name, [*catalogue.names("envs"), *gymnasium.registry])


def default_protocol(part: PartName) -> dict[str, Any]:
    """What every task's protocol builds on."""
    return _settled(catalogue.load(catalogue.folder("envs") / "default.yaml")["protocol"], part)


def _from_file(path: Path, part: PartName) -> Task:
    data = catalogue.load(path)
    protocol = data.get("protocol", {})
    if not isinstance(protocol, dict):
        raise UserError(f"{path}: protocol: needs keys and values, was {protocol!r}")
    twin = _twin(data.get("sighted"), path)
    protocols = (default_protocol(part), _settled(twin.get("protocol", {}), part), _settled(protocol, part))
    own = {"name": path.stem, **data, "protocol": functools.reduce(catalogue.merge, protocols)}
    return catalogue.check(Task, {"reference": twin.get("reference")} | own, path)


def _twin(sighted: object, path: Path) -> dict[str, Any]:
    """What a task builds on, since the two are compared; nothing where it has no twin."""
    if sighted is None:
        return {}
    try:
        return catalogue.load(catalogue.find("envs", str(sighted)))
    except UserError as error:
        raise UserError(f"{path}: sighted: {error}") from error


def _from_id(env_id: str, part: PartName) -> Task:
    protocol = catalogue.merge(default_protocol(part), _settled(_protocol_of_base(env_id), part))
    return catalogue.check(Task, {"name": env_id, "base": env_id, "protocol": protocol}, env_id)


def _settled(protocol: dict[str, Any], part: PartName) -> dict[str, Any]:
    """One file's protocol, with what the part has of its own in place of what holds for all."""
    parts = {name: protocol[name] for name in PARTS_BY_NAME if isinstance(protocol.get(name), dict)}
    own = {key: value for key, value in parts.get(part, {}).items() if key in OWN_KEYS}
    rest = {name: {key: value for key, value in of.items() if key not in OWN_KEYS} for name, of in parts.items()}
    return catalogue.merge(protocol | rest, own)


def _protocol_of_base(env_id: str) -> dict[str, Any]:
    plain = {}
    for name in catalogue.names("envs"):
        data = catalogue.load(catalogue.folder("envs") / f"{name}.yaml")
        if data.keys() <= {"description", "base", "reference", "protocol", "hide_action"}:
            plain[data.get("base", "")] = data.get("protocol", {})
    if env_id in plain:
        return plain[env_id]
    return next((protocol for base, protocol in plain.items() if env_name(base) == env_name(env_id)), {})


def _is_registered(env_id: str) -> bool:
    """Whether gymnasium knows an id; ``module:id`` imports the module first, as gymnasium does, and POPGym's theirs."""
    import_popgym(env_id)
    module, _, bare = env_id.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UserError(f"env {env_id!r}: cannot import {module!r}: {error}") from error
    return bare in gymnasium.registry
