"""How far training is, while it runs."""

from __future__ import annotations

import sys
import time
from abc import abstractmethod
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import safe_mean

from jamba_rl.lab.callbacks import Evaluations

REFRESH_SECONDS = 0.2
LINE_SECONDS = 10.0


class ProgressReport(BaseCallback):
    """Base of both forms: collects what they show.

    :param total: env steps that training ends at
    :param evaluations: where the latest evaluation is found
    :param seconds: pause between two reports
    """

    def __init__(self, total: int, evaluations: Evaluations, seconds: float) -> None:
        super().__init__()
        self.total, self.evaluations, self.seconds = total, evaluations, seconds

    def _on_training_start(self) -> None:
        self._first_step = self.num_timesteps
        self._start = self._last = time.perf_counter()

    def _on_step(self) -> bool:
        if time.perf_counter() - self._last >= self.seconds:
            self._last = time.perf_counter()
            self.report()
        return True

    def _on_training_end(self) -> None:
        self.report()

    @abstractmethod
    def report(self) -> None:
        """Show the present state."""

    def close(self) -> None:
        """Leave the terminal as it was."""

    @property
    def steps_per_second(self) -> float:
        """Env steps per second since training started here, evaluation included: what the rest will take."""
        return (self.num_timesteps - self._first_step) / max(time.perf_counter() - self._start, 1e-9)

    @property
    def returns(self) -> str:
        """Mean return of the latest training episodes, and of the latest evaluation."""
        episodes = [episode["r"] for episode in self.model.ep_info_buffer or ()]
        text = f"return {short(safe_mean(episodes))}" if episodes else "return -"
        latest = self.evaluations.latest
        return text if latest is None else f"{text} (eval {short(latest.mean)})"


class ProgressBar(ProgressReport):
    """A live bar: steps, steps/s, time left, return."""

    def __init__(self, total: int, evaluations: Evaluations) -> None:
        super().__init__(total, evaluations, REFRESH_SECONDS)
        self.bar = Progress(
            BarColumn(),
            TextColumn("{task.fields[steps]}"),
            TextColumn("[cyan]{task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("[green]{task.fields[returns]}"),
            console=Console(stderr=True),
        )

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self.task = self.bar.add_task(
            "train", total=self.total, completed=self.num_timesteps, steps="", speed="", returns=""
        )
        self.report()
        self.bar.start()

    def report(self) -> None:
        """Redraw the bar."""
        self.bar.update(
            self.task,
            completed=self.num_timesteps,
            steps=f"{self.num_timesteps:,}/{self.total:,}",
            speed=f"{self.steps_per_second:,.0f} steps/s",
            returns=self.returns,
        )

    def close(self) -> None:
        """Give the cursor back."""
        self.bar.stop()


class ProgressLines(ProgressReport):
    """A plain line now and then, for files and for terminals without cursor."""

    def __init__(self, total: int, evaluations: Evaluations, out: TextIO | None = None) -> None:
        super().__init__(total, evaluations, LINE_SECONDS)
        self.out = out or sys.stderr

    def report(self) -> None:
        """Print a line."""
        speed = self.steps_per_second
        left = (self.total - self.num_timesteps) / speed if speed else 0.0
        print(
            f"{self.num_timesteps:,}/{self.total:,} steps, {speed:,.0f} steps/s, {max(left, 0.0):,.0f} s left,",
            self.returns,
            file=self.out,
            flush=True,
        )


def short(value: float) -> str:
    """A return in few characters, so that the bar fits into 80 columns.

    >>> short(-152.34), short(-1234.5)
    ('-152.3', '-1,234')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}"
