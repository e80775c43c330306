"""Schedules in SB3's form: from what remains of training, 1 to 0, to a number."""

from __future__ import annotations

from stable_baselines3.common.type_aliases import Schedule


class WarmUp:
    """A schedule that rises linearly from 0 over the first part of training, and then is what it was.

    :param schedule: what to warm up
    :param fraction: of training, above 0

    >>> warm = WarmUp(lambda remaining: 0.5, fraction=0.2)
    >>> [warm(remaining) for remaining in (1.0, 0.75, 0.5)]
    [0.0, 0.5, 0.5]
    """

    def __init__(self, schedule: Schedule, fraction: float) -> None:
        self.schedule = schedule
        self.fraction = fraction

    def __call__(self, progress_remaining: float) -> float:
        """Value at a point of training."""
        return self.schedule(progress_remaining) * min((1.0 - progress_remaining) / self.fraction, 1.0)
