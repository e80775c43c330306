"""How far an experiment is, while it runs: a live table, or plain lines."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from jamba_rl.lab.experiment.jobs import Job
from jamba_rl.lab.experiment.schedule import Progress
from jamba_rl.lab.experiment.state import Overview, Row, Watcher
from jamba_rl.lab.progress import short

REFRESH_SECONDS = 0.5
LINE_SECONDS = 30.0
AROUND = 4  # lines of the terminal that are not runs: header, summary, and the prompt's
COLORS = {"active": "cyan", "failed": "red", "waiting": "dim", "done": "green"}


class Display(ABC):
    """Base of both forms: looks now and then.

    :param seconds: pause between two looks
    """

    def __init__(self, watcher: Watcher, seconds: float) -> None:
        self.watcher, self.seconds = watcher, seconds
        self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        """Show how far it is, if it is time to, and always at the end."""
        over = not progress.active
        if over or time.monotonic() - self._last >= self.seconds:
            self._last = time.monotonic()
            self.report(progress, self.watcher.look(progress))

    @abstractmethod
    def report(self, progress: Progress, overview: Overview) -> None:
        """Show it."""

    def close(self) -> None:  # noqa: B027 (lines leave nothing behind)
        """Leave the terminal as it was."""


class LiveTable(Display):
    """A line per run: state, steps, newest evaluation, time left; the least interesting are left out first."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__(watcher, REFRESH_SECONDS)
        self.console = Console(stderr=True)
        self.live = Live(console=self.console, auto_refresh=False, vertical_overflow="crop")
        self.live.start()

    def report(self, progress: Progress, overview: Overview) -> None:
        """Redraw the table."""
        self.live.update(table(overview, self.console.height - AROUND, summary(progress, overview)), refresh=True)

    def close(self) -> None:
        """Give the cursor back."""
        self.live.stop()


class Lines(Display):
    """A line when a run begins or ends, and one on the whole now and then."""

    def __init__(self, watcher: Watcher, out: TextIO | None = None) -> None:
        super().__init__(watcher, LINE_SECONDS)
        self.out = out or sys.stderr
        self._active: list[Job] = []
        self._said = ""

    def __call__(self, progress: Progress) -> None:
        """Say at once who begins and who ends."""
        for job in progress.active:
            if job not in self._active:
                self._say(f"{'goes on' if job.begun else 'begins'}: {job.name}")
        ended = [job for job in self._active if job not in progress.active]
        if ended:
            rows = {row.job: row for row in self.watcher.look(progress).rows}
            for job in ended:
                score = rows[job].score
                self._say(f"{rows[job].state}: {job.name}" + ("" if score is None else f", return {short(score)}"))
        self._active = list(progress.active)
        super().__call__(progress)

    def report(self, progress: Progress, overview: Overview) -> None:
        """Print a line on the whole, unless it is the same as before."""
        line = summary(progress, overview)
        if line != self._said:
            self._said = line
            self._say(line)

    def _say(self, line: str) -> None:
        print(line, file=self.out, flush=True)


def table(overview: Overview, height: int, caption: str) -> Table:
    """Draw the runs.

    :param height: how many there is room for
    """
    drawn = Table("", "env", "agent", "seed", "steps", "", "return", "left", box=None, caption=caption)
    drawn.caption_justify, drawn.caption_style = "left", ""
    for row in chosen(overview.rows, height):
        drawn.add_row(*_cells(row), style=COLORS[row.state])
    return drawn


def chosen(rows: tuple[Row, ...], height: int) -> list[Row]:
    """Of too many runs the active and failed ones, then the next to come and the latest done, in their order."""
    order = {"active": 0, "failed": 1, "waiting": 2, "done": 3}
    numbered = list(enumerate(rows))
    ranked = sorted(numbered, key=lambda each: (order[each[1].state], each[0] * (-1 if each[1].state == "done" else 1)))
    return [row for _, row in sorted(ranked[: max(height, 1)], key=lambda each: each[0])]


def _cells(row: Row) -> tuple[str, ...]:
    config = row.job.config
    return (
        row.state,
        config.task.name,
        config.agent.name,
        str(config.seed),
        f"{row.step:,}" if row.step else "",
        f"{row.step / row.total:4.0%}" if row.step else "",
        "" if row.score is None else short(row.score),
        "" if row.seconds is None else span(row.seconds),
    )


def summary(progress: Progress, overview: Overview) -> str:
    """Say in one line how far the whole is.

    >>> from collections import deque
    >>> summary(Progress(deque()), Overview((), 0.0))
    '0 of 0 runs done'
    """
    states = Counter(row.state for row in overview.rows)
    parts = [f"{states['done']} of {len(overview.rows)} runs done"]
    parts += [f"{states[state]} {state}" for state in ("active", "failed", "waiting") if states[state]]
    if progress.interrupted:
        return ", ".join([*parts, "stopping: checkpoints are being written"])
    if overview.seconds and (states["active"] or states["waiting"]):
        parts.append(f"{span(overview.seconds)} left")
    return ", ".join(parts)


def span(seconds: float) -> str:
    """Say how long, in few characters.

    >>> span(42.3), span(150), span(9000)
    ('42 s', '2 min', '2.5 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
