"""What several verbs need."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import typer

from jamba_rl.catalogue import UserError


def at_least(lowest: int) -> Callable[[typer.CallbackParam, int | None], int | None]:
    """Check of an option that says what was given, which typer's own range does not."""

    def check(option: typer.CallbackParam, value: int | None) -> int | None:
        if value is not None and value < lowest:
            raise UserError(f"{option.opts[0]} must be at least {lowest}, was {value}")
        return value

    return check


def nothing_beside_resume(what: str, options: Mapping[str, object]) -> None:
    """Raise UserError if options are given that were settled when what goes on was begun.

    :param options: names and values; None or an empty list where one was not given
    """
    given = [name for name, value in options.items() if value not in (None, [])]
    if given:
        raise UserError(f"--resume goes on with a {what} as it is: leave out {', '.join(given)}")


def prepare() -> None:
    """One thread, and no warnings that a user of the command line can do nothing about."""
    from jamba_rl.lab import process

    process.prepare()
