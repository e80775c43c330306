"""Someone who hears how a training goes, and may end it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stable_baselines3.common.callbacks import BaseCallback

from jamba_rl.lab.callbacks import Evaluations
from jamba_rl.lab.stop import Stop

Rows = Sequence[Mapping[str, str]]
Listener = Callable[[Rows], bool]
"""Called with all rows of evaluations.csv as they become more; False ends the training, as a signal would."""


def until(stop: Stop | None) -> Listener | None:
    """Who has heard enough when a rule says so; it counts what is written down, and so does a resumed run."""
    return None if stop is None else lambda rows: not stop.reached(rows)


class Listening(BaseCallback):
    """Tells a listener of every evaluation before the next rollout; stands behind the evaluations.

    The one after the last update is not told: nothing is left to end.
    """

    def __init__(self, listener: Listener | None, evaluations: Evaluations) -> None:
        super().__init__()
        self.listener, self.evaluations = listener, evaluations
        self.stopped = False
        self._heard = evaluations.latest

    def _on_training_start(self) -> None:
        self._tell()  # what a run that goes on has already

    def _on_rollout_start(self) -> None:
        if self.evaluations.latest is not self._heard:
            self._tell()

    def _on_step(self) -> bool:
        return not self.stopped

    def _tell(self) -> None:
        self._heard = self.evaluations.latest
        rows = [] if self.listener is None else self.evaluations.run.evaluations.rows()
        if self.listener is not None and rows:
            self.stopped = not self.listener(rows)
