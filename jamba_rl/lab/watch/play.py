"""An episode that is looked at while it is played."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from jamba_rl.rl.finite import check_experience


@dataclass(frozen=True)
class Episode:
    """Undiscounted return, and length in env steps."""

    score: float
    length: int


Look = Callable[[int, float], None]
"""Called before each step, with the steps taken and the return so far."""


def play(model: BaseAlgorithm, venv: VecEnv, look: Look, max_steps: int | None = None) -> Episode:
    """Play one deterministic episode from its start.

    A vectorised env begins the next episode in the very step that ends one, so the last look is at
    the state before it: there are as many looks as steps.

    :param venv: one env, as the model sees it
    :param max_steps: stop there if the episode has not ended
    :raises ExperienceError: if an observation or reward is infinite or not a number
    """
    observation, memory, start = venv.reset(), None, np.ones(1, dtype=bool)
    score, length, done = 0.0, 0, False
    while not done and length != max_steps:
        look(length, score)
        action, memory = model.predict(observation, memory, start, deterministic=True)  # type: ignore[arg-type]
        observation, rewards, start, infos = venv.step(action)
        check_experience(observation, rewards, when="in an episode that was watched")  # type: ignore[arg-type]
        score, length, done = score + float(rewards[0]), length + 1, bool(start[0])
    if done:
        score = float(infos[0]["episode"]["r"])  # the monitor's sum is of double precision
    return Episode(score, length)
