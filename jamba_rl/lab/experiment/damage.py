"""What a run's folder may hold that is no run any more."""

from __future__ import annotations

from pathlib import Path

from jamba_rl.catalogue import UserError
from jamba_rl.lab.report.runs import read_run
from jamba_rl.lab.run import RESULT, Run

KEYS = ("task", "agent", "seed", "device")  # of every config.yaml; one that was cut short lacks the last


def damage(folder: Path) -> str:
    """What is wrong with a run's files, and what to do; nothing of a run that is whole, or has not begun.

    A finished one is damaged if a report would leave it out. Of one that is to go on, checkpoints and tables are looked
    at when it does.
    """
    if not (folder / "config.yaml").exists():
        return ""
    try:
        _check_config(folder)
        if (folder / RESULT).exists():
            read_run(folder)
    except UserError as error:
        return f"{error}; move {folder} away, and it is trained anew"
    return ""


def _check_config(folder: Path) -> None:
    """Make sure that a run's config.yaml was not cut short; what it says is not looked at.

    :raises UserError: if it was
    """
    data = Run(folder).read_config()
    for key in KEYS:
        if key not in data:
            raise UserError(f"{folder / 'config.yaml'}: key {key!r} is missing")
