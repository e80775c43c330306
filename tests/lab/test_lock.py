from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from jamba_rl.catalogue import UserError
from jamba_rl.lab.lock import alone_on


def in_a_thread(run: Path) -> list[str]:
    """What somebody else is told who wants to train the run."""
    said: list[str] = []

    def ask() -> None:
        try:
            with alone_on(run):
                said.append("nothing")
        except UserError as error:
            said.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return said


def test_a_run_is_trained_by_one_at_a_time(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with alone_on(run), alone_on(run):  # the worker of a benchmark holds it, and then trains
        assert in_a_thread(run) == [f"another training is at work in {run}"]
    assert in_a_thread(run) == ["nothing"]


def test_who_has_patience_waits_and_not_for_ever(tmp_path: Path) -> None:
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with alone_on(tmp_path):
            held.set()
            free.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    before = time.monotonic()
    with pytest.raises(UserError, match="another training is at work"), alone_on(tmp_path, patience=0.3):
        pass
    assert 0.3 <= time.monotonic() - before < 10
    threading.Timer(0.3, free.set).start()
    with alone_on(tmp_path, patience=60.0):
        assert free.is_set()
    holder.join()


def test_what_fails_inside_gives_the_run_back(tmp_path: Path) -> None:
    def fail() -> None:
        with alone_on(tmp_path):
            raise BlockingIOError("of its own")

    with pytest.raises(BlockingIOError, match="of its own"):
        fail()
    assert in_a_thread(tmp_path) == ["nothing"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"cannot make .*file/run: Not a directory"),
        alone_on(tmp_path / "file" / "run"),
    ):
        pass
