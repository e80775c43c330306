"""A recall game as a gymnasium env."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import numpy as np

from jamba_rl.tasks.recall.game import Game


class RecallEnv(gymnasium.Env):
    """One copy of a game.

    >>> from jamba_rl.tasks.recall.cue import Cue
    >>> RecallEnv(Cue(delay=3)).reset(seed=0)[0]
    array([0., 0., 0., 1., 0.], dtype=float32)
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - as gymnasium has it

    def __init__(self, game: Game) -> None:
        self.game = game
        # copies, since a space has random numbers of its own
        self.observation_space = copy.deepcopy(game.observation_space)
        self.action_space = copy.deepcopy(game.action_space)
        self.times = np.zeros(1, np.int64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Deal a new episode."""
        super().reset(seed=seed)
        self.episodes = self.game.deal(self.np_random)[None]
        self.times[:] = 0
        return self.game.observe(self.episodes, self.times)[0], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Play one action."""
        reward = self.game.play(self.episodes, self.times, np.array([action]))[0]
        self.times += 1
        terminated = bool(self.times[0] == self.game.steps)
        return self.game.observe(self.episodes, self.times)[0], float(reward), terminated, False, {}
