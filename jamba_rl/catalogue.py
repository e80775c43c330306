"""The YAML data (agents, envs, configs): found by name or path, read, merged, checked.

Whatever a user can mistype passes through here and comes back as a `UserError`: one line saying
what was given, where, and the nearest thing that would have worked.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

PACKAGE = Path(__file__).parent
SUFFIXES = (".yaml", ".yml")
UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")  # pydantic's words, for models and dataclasses


class UserError(ValueError):
    """A mistake of the user's, in one line that is fit for a terminal."""


class Data(BaseModel):
    """Base of everything that is read from YAML: frozen, no unknown keys, no conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Model = TypeVar("Model", bound=Data)


def folder(kind: str) -> Path:
    """Folder of ``agents``, ``envs`` or ``configs``: in an installed wheel, or of the checkout."""
    packaged = PACKAGE / "data" / kind
    return packaged if packaged.is_dir() else PACKAGE.parent / kind


def names(kind: str) -> list[str]:
    """Names that can be given for a kind; ``default`` is what the others build on and not one of them."""
    return sorted(path.stem for path in folder(kind).glob("*.yaml") if path.stem != "default")


def descriptions(kind: str) -> dict[str, str]:
    """What each name says about itself."""
    return {name: load(find(kind, name)).get("description", "") for name in names(kind)}


def is_path(name: str) -> bool:
    """Whether a name means a file: it has a separator or a YAML suffix."""
    return "/" in name or "\\" in name or name.endswith(SUFFIXES)


def find(kind: str, name: str) -> Path:
    """File of a bare name, or of a path.

    :raises UserError: if there is none; names the nearest
    """
    if is_path(name):
        if not Path(name).is_file():
            raise UserError(f"no such file: {name}")
        return Path(name)
    if name not in names(kind):
        raise unknown(kind.removesuffix("s"), name, names(kind))
    return folder(kind) / f"{name}.yaml"


def load(path: Path) -> dict[str, Any]:
    """Read a YAML 1.2 file whose top level is a mapping (so ``1e-4`` is a number and ``no`` a word).

    :raises UserError: if it cannot be read
    """
    try:
        data = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise UserError(f"{path}: line {line}: {error.problem}") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML: {_one_line(error)}") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    if not isinstance(data, dict):
        raise UserError(f"{path}: needs keys and values at the top level")
    return data


def parse_value(text: str) -> Any:
    """Read one YAML value, as in ``--set key=value``; dashes alone, which are marks in YAML, are a pattern.

    >>> parse_value("1e-4"), parse_value("[64, 64]"), parse_value("MMA"), parse_value("---")
    (0.0001, [64, 64], 'MMA', '---')
    """
    if text and not text.strip("-"):
        return text
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise UserError(f"{text!r} is no YAML value") from error


def dump(data: Mapping[str, Any], path: Path) -> None:
    """Write a mapping as YAML, in the order of its keys."""
    yaml = YAML()
    yaml.default_flow_style = None  # the innermost collections on one line
    yaml.width = 120
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(dict(data), file)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over``, mapping by mapping; neither is changed.

    >>> merge({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}})
    {'a': {'x': 1, 'y': 3}}
    """
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def check(model: type[Model], data: Mapping[str, Any], source: object) -> Model:
    """Make the model from data.

    :param source: what to name in an error: the file, or the option
    :raises UserError: on unknown keys, missing keys and wrong types
    """
    try:
        # JSON's rules and not Python's: a list may fill a tuple, yet nothing else is converted
        return model.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        raise UserError(f"{source}: {explain(error, model)}") from error


def explain(error: ValidationError, model: type[Data]) -> str:
    """One of the errors in one line: the key, what is wrong with it, the nearest valid key."""
    # a misspelt key before all else: it may be why another is missing
    first = min(error.errors(include_url=False), key=lambda each: each["type"] not in UNKNOWN_KEY)
    *parents, last = where = [str(part) for part in first["loc"]] or [""]
    key = ".".join(where)
    if first["type"] in UNKNOWN_KEY:
        return str(unknown("key", last, _fields_at(model, parents), prefix="".join(f"{part}." for part in parents)))
    if first["type"] in ("missing", "missing_argument"):
        return f"key {key!r} is missing"
    if first["type"] == "value_error":  # ours, so it says what was given
        return f"{key}: {first['msg'].removeprefix('Value error, ')}"
    wanted = first["msg"].replace("Input should be", "must be").replace("an object", "keys and values")
    wanted = wanted.replace("a valid array", "a list")
    return f"{key}: {wanted}, was {json.dumps(first['input'], default=str)}"


def unknown(what: str, given: str, allowed: Iterable[str], prefix: str = "") -> UserError:
    """Make the error for a name that does not exist.

    >>> print(unknown("agent", "ppo-jmba", ["ppo-jamba", "ppo-lstm"]))
    unknown agent 'ppo-jmba'; did you mean 'ppo-jamba'? (valid: ppo-jamba, ppo-lstm)
    """
    known = sorted(allowed)
    message = f"unknown {what} '{prefix}{given}'"
    near = nearest(given, known)
    if near is not None:
        message += f"; did you mean '{prefix}{near}'?"
    if len(known) <= 24:
        message += f" (valid: {', '.join(known)})"
    return UserError(message)


def nearest(given: str, allowed: Iterable[str]) -> str | None:
    """The allowed name most like the given one, case aside; None if nothing is alike."""
    by_lower = {name.lower(): name for name in sorted(allowed, reverse=True)}
    near = get_close_matches(given.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[near[0]] if near else None


def _fields_at(model: type, parents: Iterable[str]) -> list[str]:
    """Keys that are valid below some parent keys."""
    fields = _fields(model)
    for parent in parents:
        if not parent.isdigit():  # which of a list: they all have the same keys
            fields = _fields(fields.get(parent))
    return list(fields)


def _fields(annotation: Any) -> dict[str, Any]:
    """Keys of a model or dataclass with their types; empty for anything else."""
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return {field.alias or name: field.annotation for name, field in part.model_fields.items()}
        if dataclasses.is_dataclass(part):
            hints = get_type_hints(part)
            return {field.name: hints[field.name] for field in dataclasses.fields(part) if field.init}
    return {}


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
