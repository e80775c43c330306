"""Which run is trained when, and what becomes of it."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from jamba_rl.catalogue import UserError
from jamba_rl.lab.experiment.damage import damage
from jamba_rl.lab.experiment.jobs import Job
from jamba_rl.lab.experiment.launch import End, Launcher, Worker
from jamba_rl.lab.experiment.left_over import ERROR
from jamba_rl.lab.run import RESULT

LOOK_SECONDS = 0.1
TRIES = 5  # with workers that get lost: a cluster may send the next one to a node that it does not know to be dead


@dataclass
class Progress:
    """How far an experiment is.

    :ivar waiting: jobs to be started
    :ivar active: jobs and who trains them
    :ivar failed: jobs with the reason
    :ivar interrupted: somebody asked to stop; twice: at once
    """

    waiting: deque[Job] = field(default_factory=deque)
    active: dict[Job, Worker] = field(default_factory=dict)
    failed: dict[Job, str] = field(default_factory=dict)
    tries: dict[Job, int] = field(default_factory=dict)
    interrupted: int = 0


def run_jobs(jobs: Sequence[Job], launcher: Launcher, show: Callable[[Progress], None]) -> Progress:
    """Train all jobs that are not done, the failed ones of earlier times included.

    One whose folder is damaged fails at once. One that fails leaves its last words in ``error.txt`` in its folder, and
    the others go on. Ctrl-C or SIGTERM lets every worker write a checkpoint; a second one does not. Whatever ends this
    ends the workers.

    :param show: called again and again with how far it is
    """
    progress = Progress()
    for job in jobs:
        if said := damage(job.folder):
            _fail(progress, job, f"{said}\n")
    progress.waiting = deque(job for job in jobs if not job.done and job not in progress.failed)
    told_to_stop: set[Job] = set()
    try:
        with _counting_interrupts(progress):
            while (progress.waiting and not progress.interrupted) or progress.active:
                if progress.interrupted > 1:
                    break
                _look(progress, launcher)
                for job in progress.active.keys() - told_to_stop if progress.interrupted else ():
                    progress.active[job].stop()
                    told_to_stop.add(job)
                show(progress)
                time.sleep(LOOK_SECONDS)
    finally:
        for worker in progress.active.values():
            worker.kill()
    show(progress)
    return progress


def _look(progress: Progress, launcher: Launcher) -> None:
    """See who has ended, and start others in their place."""
    for job, worker in list(progress.active.items()):
        end = _poll(worker)
        if end is not None:
            del progress.active[job]
            _note(progress, job, end)
    while len(progress.active) < launcher.workers and not progress.interrupted:
        following = _next(progress)
        if following is None:
            return
        progress.tries[following] = progress.tries.get(following, 0) + 1
        try:
            progress.active[following] = launcher.start(following)
        except (OSError, UserError) as error:  # of this run's folder, or of one process too many
            _fail(progress, following, f"{error}\n")


def _poll(worker: Worker) -> End | None:
    """How a worker ended; one whose files cannot be written here any more is ended."""
    try:
        return worker.poll()
    except OSError as error:
        worker.kill()
        return End(f"{error}\n")


def _next(progress: Progress) -> Job | None:
    """Take from the waiting jobs the first that can begin; those whose start has failed fail too."""
    failed = {job.folder for job in progress.failed}
    for orphan in [job for job in progress.waiting if job.source in failed]:
        progress.waiting.remove(orphan)
        _fail(progress, orphan, f"the run that it starts from failed: {orphan.source}\n")
    ready = (job for job in progress.waiting if job.source is None or (job.source / RESULT).exists())
    first = next(ready, None)
    if first is not None:
        progress.waiting.remove(first)
    return first


def _note(progress: Progress, job: Job, end: End) -> None:
    if job.done:
        return
    if progress.interrupted:
        progress.waiting.append(job)
    elif end.lost and progress.tries[job] < TRIES:
        progress.waiting.appendleft(job)
    else:
        _fail(progress, job, end.said)


def _fail(progress: Progress, job: Job, said: str) -> None:
    with contextlib.suppress(OSError):  # it may be the reason
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / ERROR).write_text(said)
    progress.failed[job] = said


@contextmanager
def _counting_interrupts(progress: Progress) -> Iterator[None]:
    """Count Ctrl-C and SIGTERM instead of ending by them."""

    def count(number: int, frame: FrameType | None) -> None:
        progress.interrupted += 1

    if threading.current_thread() is not threading.main_thread():  # elsewhere Python allows no handlers
        yield
        return
    previous = {number: signal.signal(number, count) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
