"""Keep count of bits, which takes more than recall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from gymnasium import spaces

from jamba_rl.tasks.recall.game import Game, check_count

BIT, PARITY = range(2)  # rows of an episode


@dataclass(frozen=True)
class Parity(Game):
    """Every step shows a random bit; the answer is 1 if the ones of the episode so far are odd in number, else 0.

    Each of the ``length`` answers is worth 1 / ``length`` if it is right and minus that if not, so to
    guess has 0. This is the negative control: as episodes grow, neither linear recurrences with
    positive decays, such as Mamba's, can keep count (Grazzi et al. 2024, arXiv 2411.12537), nor can
    attention (Hahn 2020, arXiv 1906.06755). But an agent that sees its previous action need not keep
    count: while its answers are right, that is the parity before the bit in view.
    """

    length: int = 50

    observation_space: ClassVar[spaces.Discrete] = spaces.Discrete(2)
    action_space: ClassVar[spaces.Discrete] = spaces.Discrete(2)

    def __post_init__(self) -> None:
        check_count("length", self.length)

    @property
    def steps(self) -> int:
        """One for each bit."""
        return self.length

    def deal(self, generator: np.random.Generator) -> np.ndarray:
        """Bits, and their parity so far (2, length + 1); the last bit is seen when all is over."""
        bits = generator.integers(2, size=self.length + 1)
        return np.stack([bits, np.cumsum(bits) % 2])

    def observe(self, episodes: np.ndarray, times: np.ndarray) -> np.ndarray:
        """The newest bits (N,)."""
        return episodes[np.arange(len(times)), BIT, times]

    def play(self, episodes: np.ndarray, times: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Compare with the parity."""
        right = episodes[np.arange(len(times)), PARITY, times] == actions
        worth = np.float32(1 / self.length)
        return np.where(right, worth, -worth)
