"""Many copies of a recall game, stepped together."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from jamba_rl.tasks.recall.env import RecallEnv
from jamba_rl.tasks.recall.game import Game
from jamba_rl.tasks.recall.register import env_spec


class RecallVecEnv(VecEnv):
    """An SB3 ``VecEnv`` of a game: copy i seeded with s + i shows what a `RecallEnv` seeded so shows.

    A copy that is done is dealt its next episode in the same step, the last observation being ``terminal_observation``
    in its info. Episodes end by termination.

    :param n_envs: how many copies
    :param first_limits: steps after which each copy's very first episode is truncated (n_envs,), so that later
        they are not all at the same time of an episode

    >>> from jamba_rl.tasks.recall.repeat_previous import RepeatPrevious
    >>> venv = RecallVecEnv(RepeatPrevious(lag=4), n_envs=3)
    >>> _ = venv.seed(0)
    >>> venv.reset()
    array([3, 3, 1])
    """

    def __init__(self, game: Game, n_envs: int, first_limits: Sequence[int] | None = None) -> None:
        self.game = game
        # copies, since a space has random numbers of its own
        observation_space, action_space = copy.deepcopy(game.observation_space), copy.deepcopy(game.action_space)
        shown = {
            "spec": env_spec(game),
            "render_mode": None,
            "metadata": RecallEnv.metadata,
            "observation_space": observation_space,
            "action_space": action_space,
        }
        self.attributes: list[dict[str, Any]] = [dict(shown) for _ in range(n_envs)]
        super().__init__(n_envs, observation_space, action_space)
        self.first_limits = None if first_limits is None else np.asarray(first_limits)
        self.generators = [seeding.np_random()[0] for _ in range(n_envs)]

    def reset(self) -> np.ndarray:
        """Deal a new episode to every copy."""
        for i, seed in enumerate(self._seeds):
            if seed is not None:
                self.generators[i] = seeding.np_random(seed)[0]
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        self.episodes = np.stack([self.game.deal(generator) for generator in self.generators])
        self.times = np.zeros(self.num_envs, np.int64)
        self.ends = np.full(self.num_envs, self.game.steps)  # the time at which an episode ends
        if self.first_limits is not None:
            self.ends, self.first_limits = np.minimum(self.ends, self.first_limits), None
        return self.game.observe(self.episodes, self.times)

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions for ``step_wait``."""
        self.actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Play every copy's action, and deal anew to those that are done."""
        rewards = self.game.play(self.episodes, self.times, self.actions)
        self.times += 1
        observations = self.game.observe(self.episodes, self.times)
        dones = self.times == self.ends
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": False} for _ in range(self.num_envs)]
        if dones.any():
            self._end(np.flatnonzero(dones), observations, infos)
        return observations, rewards, dones, infos

    def _end(self, copies: np.ndarray, observations: np.ndarray, infos: list[dict[str, Any]]) -> None:
        """Deal new episodes to copies that are done; observations and infos are changed in place."""
        for i, last in zip(copies, observations[copies], strict=True):
            infos[i]["terminal_observation"] = last
            infos[i]["TimeLimit.truncated"] = bool(self.times[i] < self.game.steps)
            self.reset_infos[i] = {}
            self.episodes[i] = self.game.deal(self.generators[i])
        self.times[copies], self.ends[copies] = 0, self.game.steps
        observations[copies] = self.game.observe(self.episodes[copies], self.times[copies])

    def close(self) -> None:
        """Nothing to release."""

    def get_images(self) -> list[np.ndarray | None]:
        """There is nothing to see."""
        return [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Of each copy: what was set, what an env has, or what the game has."""
        copies = [self.attributes[i] for i in self._get_indices(indices)]
        return [own[attr_name] if attr_name in own else getattr(self.game, attr_name) for own in copies]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Keep a value with each copy, for ``get_attr``; it changes no rule of the game."""
        for i in self._get_indices(indices):
            self.attributes[i][attr_name] = value

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Call what ``get_attr`` finds."""
        return [method(*args, **kwargs) for method in self.get_attr(method_name, indices)]

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """No copy is wrapped."""
        return [False for _ in self._get_indices(indices)]
