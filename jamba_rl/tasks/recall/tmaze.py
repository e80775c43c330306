"""Remember which way to turn (the passive T-maze of Ni et al. 2023, arXiv 2307.03864, after Bakker 2001)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from gymnasium import spaces

from jamba_rl.tasks.recall.game import Game, check_count

GOAL, X, Y = range(3)  # columns of an episode: side of the goal, 1 up and -1 down; place of the agent
MOVES = np.array([1, 0, -1, 0])  # of the actions right, up, left, down, in the order of the paper's code
TURNS = np.array([0, 1, 0, -1])


@dataclass(frozen=True)
class TMaze(Game):
    """A corridor of ``length`` steps, and at its end a turn to the goal, whose side is shown at the start only.

    An episode has ``length`` + 1 steps, just enough for the way and the turn. Its last step is worth
    1 if it enters the goal and else 0; every earlier one that leaves the agent behind a straight walk
    costs 1 / ``length``. So the best return is 1, to walk and guess has 0.5, and to stand still -1.

    An observation is two numbers. The first is 1 at the junction and beyond, else 0. The second is
    the side of the goal at the first step (1 up, -1 down), the side entered after the last, else 0.
    """

    length: int = 50

    observation_space: ClassVar[spaces.Box] = spaces.Box(np.array([0, -1], np.float32), np.array([1, 1], np.float32))
    action_space: ClassVar[spaces.Discrete] = spaces.Discrete(len(MOVES))

    def __post_init__(self) -> None:
        check_count("length", self.length)

    @property
    def steps(self) -> int:
        """The way and the turn."""
        return self.length + 1

    def deal(self, generator: np.random.Generator) -> np.ndarray:
        """Side of the goal, and place of the agent (3,)."""
        return np.array([2 * generator.integers(2) - 1, 0, 0])

    def observe(self, episodes: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Junction and side (N, 2)."""
        seen = np.empty((len(times), 2), np.float32)
        seen[:, 0] = episodes[:, X] == self.length
        seen[:, 1] = np.where(times == 0, episodes[:, GOAL], episodes[:, Y])
        return seen

    def play(self, episodes: np.ndarray, times: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Walk, or turn at the junction; walls stop what would leave the maze."""
        x = episodes[:, X]
        y = TURNS[actions] * (x == self.length)
        x = np.minimum(np.maximum(x + MOVES[actions], 0), self.length)
        episodes[:, X], episodes[:, Y] = x, y
        behind = x <= times  # a straight walk has made times + 1 steps
        cost = np.where(behind, np.float32(-1 / self.length), np.float32(0))
        return np.where(times == self.length, y == episodes[:, GOAL], cost)
