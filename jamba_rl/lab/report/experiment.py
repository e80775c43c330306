"""What `jamba-rl benchmark` leaves beside the runs: words about the experiment, and what its agents differ in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.files import read_json

OWN = "runs"  # the key of a config.yaml that a report wrote


@dataclass(frozen=True)
class Experiment:
    """What is known of an experiment besides its runs; nothing of runs that were trained one by one.

    :ivar differ: keys of agents that differ on purpose
    :ivar has_config: whether config.yaml is the experiment's own, which a report leaves as it is
    """

    description: str = ""
    differ: tuple[str, ...] = ()
    has_config: bool = False


def read_experiment(folder: Path) -> Experiment:
    """Read what there is; a report does not fail for want of it."""
    config, comparison = _config(folder / "config.yaml"), _comparison(folder / "comparison.json")
    differ = comparison.get("differ")
    return Experiment(
        description=str(config.get("description") or "") if config else "",
        differ=tuple(map(str, differ)) if isinstance(differ, list) else (),
        has_config=(folder / "config.yaml").exists() and OWN not in (config or {}),
    )


def _config(path: Path) -> dict[str, Any] | None:
    try:
        return catalogue.load(path)
    except UserError:
        return None


def _comparison(path: Path) -> dict[str, Any]:
    try:
        return read_json(path, dict)
    except UserError:
        return {}
