"""What several verbs need."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import typer

from jamba_rl.catalogue import UserError


def at_least(lowest: int) -> Callable[[typer.CallbackParam, int | None], int | None]:
    """Check of an option that says what was given, which typer's own range does not."""

    def check(option: typer.CallbackParam, value: int | None) -> int | None:
        if value is not None and value < lowest:
            raise UserError(f"{option.opts[0]} must be at least {lowest}, was {value}")
        return value

    return check


def prepare() -> None:
    """One thread, and no warnings that a user of the command line can do nothing about."""
    import gymnasium  # noqa: F401 (it puts its own filter first, ours has to come after)
    import mujoco

    from jamba_rl.lab.train import use_one_thread

    use_one_thread()
    warnings.filterwarnings("ignore", ".*is out of date", DeprecationWarning)
    mujoco.set_mju_user_warning(_warn_of_simulation)  # its own handler would also leave a log file behind


def _warn_of_simulation(message: str) -> None:
    if "deprecated" not in message:  # those concern the authors of the robot's XML
        print(f"mujoco: {message.strip()}", file=sys.stderr)
