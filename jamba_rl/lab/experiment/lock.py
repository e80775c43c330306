"""One experiment, or one tuning, at a time in a folder; one worker at a time in that of a run."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jamba_rl.catalogue import UserError


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
def alone_on(run: Path) -> Iterator[None]:
    """Make a run's folder and hold it; waits for a worker of a killed benchmark, which takes a moment to end."""
    run.mkdir(parents=True, exist_ok=True)
    folder = os.open(run, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
