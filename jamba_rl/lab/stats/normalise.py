"""Scores of different tasks on one scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from jamba_rl.lab.stats.bootstrap import Scores

Score = TypeVar("Score", float, Scores)


@dataclass(frozen=True)
class Anchors:
    """The two returns of a task that others are measured by: 0 and 1 of the scale.

    :ivar random: that of evenly random actions
    :ivar reference: that of a good agent
    :ivar source: who that is
    """

    random: float | None = None
    reference: float | None = None
    source: str = ""

    @property
    def whole(self) -> bool:
        """Whether there is a scale."""
        return self.random is not None and self.reference is not None and self.reference != self.random


def normalise(score: Score, anchors: Anchors) -> Score:
    """0 for random actions, 1 for the reference, and beyond; needs both anchors.

    >>> normalise(-450.0, Anchors(random=-1200.0, reference=-200.0))
    0.75
    """
    assert anchors.random is not None
    assert anchors.reference is not None
    return (score - anchors.random) / (anchors.reference - anchors.random)
