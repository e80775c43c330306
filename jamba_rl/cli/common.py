"""What several verbs need."""

from __future__ import annotations

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
    from jamba_rl.lab import process

    process.prepare()
