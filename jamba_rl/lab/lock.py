"""One experiment, or one tuning, at a time in a folder; one worker at a time in that of a run."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from jamba_rl.catalogue import UserError

LOOK_SECONDS = 0.1
_HELD: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())  # runs, by this thread


@contextmanager
def alone_in(results: Path, what: str = "benchmark") -> Iterator[None]:
    """Make the folder and hold it; a lock that the system takes back, however its holder ends.

    :param what: is at work, in a word
    :raises UserError: if another one holds it, or it cannot be made
    """
    path = results / "runs" / ".lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise UserError(f"cannot make {path.parent}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"another {what} is at work in {results}") from None
        yield


@contextmanager
def alone_on(run: Path, patience: float = 0.0) -> Iterator[None]:
    """Make a run's folder and hold it; whoever holds it already goes on.

    :param patience: seconds to wait for another one to end, as a worker of a killed benchmark does in a moment
    :raises UserError: if another process trains the run, or the folder cannot be made
    """
    own = run.absolute()
    if own in _HELD.get():
        yield
        return
    try:
        run.mkdir(parents=True, exist_ok=True)
        folder = os.open(run, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"cannot make {run}: {error.strerror}") from error
    try:
        if not _held_within(folder, patience):
            raise UserError(f"another training is at work in {run}")
        with _holding(own):
            yield
    finally:
        os.close(folder)


def _held_within(folder: int, seconds: float) -> bool:
    """Hold a folder as soon as nobody else does; whether that was in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOOK_SECONDS)
        else:
            return True


@contextmanager
def _holding(run: Path) -> Iterator[None]:
    _HELD.set(_HELD.get() | {run})
    try:
        yield
    finally:
        _HELD.set(_HELD.get() - {run})  # several may be held, and given back in any order
