"""Recall a cue once: the plainest proof of memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from gymnasium import spaces

from jamba_rl.tasks.recall.game import Game, check_count

CUES = 4
GO, NOTHING = CUES, CUES + 1
SHOWN = np.eye(CUES + 2, CUES + 1, dtype=np.float32)  # a row for each cue, for go, and for nothing


@dataclass(frozen=True)
class Cue(Game):
    """One of four cues at the first step, nothing for ``delay`` steps, then a go signal that asks which it was.

    Only the answer to the go signal counts: 1 if it names the cue, else 0; to guess has 0.25.

    An observation is five numbers: one for each cue, which is 1 while that cue is shown, and one that
    is 1 at the go signal.
    """

    delay: int = 50

    observation_space: ClassVar[spaces.Box] = spaces.Box(0.0, 1.0, (CUES + 1,), np.float32)
    action_space: ClassVar[spaces.Discrete] = spaces.Discrete(CUES)

    def __post_init__(self) -> None:
        check_count("delay", self.delay)

    @property
    def steps(self) -> int:
        """One with the cue, those with nothing, and one with the go signal."""
        return self.delay + 2

    def deal(self, generator: np.random.Generator) -> np.ndarray:
        """The cue (1,)."""
        return generator.integers(CUES, size=1)

    def observe(self, episodes: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Cue and go signal (N, 5)."""
        later = np.where(times == self.delay + 1, GO, NOTHING)
        return SHOWN[np.where(times == 0, episodes[:, 0], later)]

    def play(self, episodes: np.ndarray, times: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Compare with the cue, if it is asked for."""
        return ((actions == episodes[:, 0]) & (times == self.delay + 1)).astype(np.float32)
