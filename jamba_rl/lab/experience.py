"""An env that gives no numbers, said in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jamba_rl.catalogue import UserError
from jamba_rl.rl.finite import ExperienceError


@contextmanager
def experience_of(env: str) -> Iterator[None]:
    """Say whose experience it was that is infinite or not a number.

    :param env: the task's name
    :raises UserError: in place of ExperienceError
    """
    try:
        yield
    except ExperienceError as error:
        raise UserError(f"env {env!r}: {error}") from error
