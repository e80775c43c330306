"""Processes that train trials, one each at a time, and never outlive who started them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path

from jamba_rl.catalogue import UserError
from jamba_rl.lab.process import prepare
from jamba_rl.lab.tune.trial import STOPPED, Outcome, run_trial

_stopping = threading.Event()  # of a worker


class Pool:
    """Workers with one thread each.

    Ctrl-C reaches them through `stop` alone, which has them write checkpoints.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder, self.workers = folder, workers
        self._executor = ProcessPoolExecutor(workers, get_context("spawn"), _begin)
        self._running: dict[Future[Outcome], int] = {}
        self._others = set(active_children())  # of this process, who are not ours to end

    @property
    def free(self) -> bool:
        """Whether a worker has nothing to do."""
        return len(self._running) < self.workers

    @property
    def busy(self) -> bool:
        """Whether any trial is being trained."""
        return bool(self._running)

    def start(self, number: int) -> None:
        """Have a trial trained."""
        self._running[self._executor.submit(_work, self.folder, number)] = number

    def ended(self) -> Iterator[tuple[int, Outcome]]:
        """Wait until trials end, and say how.

        :raises UserError: if a worker was killed
        """
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        for future in sorted(done, key=self._running.__getitem__):
            number = self._running.pop(future)
            try:
                yield number, future.result()
            except BrokenProcessPool as error:
                raise UserError(
                    f"a process that trained was killed (out of memory?); go on with --resume {self.folder}"
                ) from error

    def stop(self) -> None:
        """Have all trainings write a checkpoint and end."""
        for process in self._workers():
            if process.pid is not None:
                os.kill(process.pid, signal.SIGINT)
        wait(self._running)

    def close(self) -> None:
        """End the workers, and whatever they do."""
        if self._running:
            for process in self._workers():
                process.kill()
        self._executor.shutdown(cancel_futures=True)

    def _workers(self) -> set[BaseProcess]:
        return set(active_children()) - self._others


def _begin() -> None:
    os.setpgrp()  # a terminal sends Ctrl-C to the group of who started this
    signal.signal(signal.SIGINT, lambda *_: _stopping.set())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare()


def _work(folder: Path, number: int) -> Outcome:
    return Outcome(STOPPED) if _stopping.is_set() else run_trial(folder, number, _stopping.is_set)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
