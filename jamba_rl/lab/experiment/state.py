"""How far the runs of an experiment are, read from their folders."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

from jamba_rl.catalogue import UserError
from jamba_rl.lab.experiment.jobs import Job
from jamba_rl.lab.experiment.schedule import Progress
from jamba_rl.lab.files import Table, read_json
from jamba_rl.lab.run import PROGRESS_STEP

State = Literal["active", "failed", "waiting", "done"]


@dataclass(frozen=True)
class Row:
    """How far one run is.

    :ivar step: env steps it has taken
    :ivar score: mean return of its newest evaluation
    :ivar seconds: until its end, once it is known how fast it is
    """

    job: Job
    state: State
    step: int
    score: float | None
    seconds: float | None

    @property
    def total(self) -> int:
        """Env steps it is to take."""
        return self.job.config.steps


@dataclass(frozen=True)
class Overview:
    """How far all of them are, in the order of the jobs.

    :ivar seconds: until the last one ends, if that can be told
    """

    rows: tuple[Row, ...]
    seconds: float | None

    def count(self, state: State) -> int:
        """How many runs are in a state."""
        return sum(row.state == state for row in self.rows)


class Watcher:
    """Looks at run folders, and at those files alone that have changed.

    :param workers: how many runs are trained at a time
    """

    def __init__(self, jobs: Sequence[Job], workers: int) -> None:
        self.jobs, self.workers = jobs, workers
        self._read: dict[Path, tuple[int, dict[str, str]]] = {}
        self._first: dict[Job, tuple[float, int]] = {}  # since when it is active, and from which step on
        self._speed: dict[tuple[str, str], float] = {}  # env steps per second, by env and agent

    def look(self, progress: Progress) -> Overview:
        """See how far everything is."""
        rows = tuple(self._row(job, progress) for job in self.jobs)
        rest = [self._seconds(row) for row in rows if row.state in ("active", "waiting")]
        known = [seconds for seconds in rest if seconds is not None]
        if rest and not known:
            return Overview(rows, None)
        longest = max((row.seconds or 0.0 for row in rows), default=0.0)
        together = fmean(known) * len(rest) / self.workers if known else 0.0  # the unknown are like the known
        return Overview(rows, max(longest, together))

    def _row(self, job: Job, progress: Progress) -> Row:
        evaluation = self._last(job.folder / "evaluations.csv")
        score = _number(evaluation.get("mean_reward"))
        if job in progress.active:
            step = int(_number(self._last(job.folder / "progress.csv").get(PROGRESS_STEP)) or 0)
            return Row(job, "active", step, score, self._time_left(job, step))
        self._first.pop(job, None)
        step = int(_number(evaluation.get("step")) or 0)
        state: State = "failed" if job in progress.failed else "done" if job.done else "waiting"
        return Row(job, state, step, score, None)

    def _time_left(self, job: Job, step: int) -> float | None:
        since, first = self._first.setdefault(job, (time.monotonic(), step))
        if step <= first:
            return None
        speed = (step - first) / max(time.monotonic() - since, 1e-9)
        self._speed[_kind(job)] = speed
        return max(job.config.steps - step, 0) / speed

    def _seconds(self, row: Row) -> float | None:
        """What is left of a run; one that has not begun is as fast as its like was."""
        if row.seconds is not None:
            return row.seconds
        speed = self._speed.get(_kind(row.job)) or self._speed_of_done(row.job)
        return None if speed is None else max(row.total - row.step, 0) / speed

    def _speed_of_done(self, job: Job) -> float | None:
        """The speed of a finished run of the same agent on the same env."""
        for other in self.jobs:
            if _kind(other) == _kind(job) and other.done:
                try:
                    speed = read_json(other.folder / "result.json", dict).get("steps_per_second")
                except UserError:
                    continue
                if isinstance(speed, int | float) and speed > 0:
                    return self._speed.setdefault(_kind(job), float(speed))
        return None

    def _last(self, path: Path) -> dict[str, str]:
        """Last row of a table; empty as long as there is none."""
        try:
            changed = path.stat().st_mtime_ns
            if self._read.get(path, (0, {}))[0] != changed:
                self._read[path] = (changed, (Table(path).rows() or [{}])[-1])
        except (OSError, UserError):
            return {}
        return self._read[path][1]


def _kind(job: Job) -> tuple[str, str]:
    return job.config.task.name, job.config.agent.name


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
