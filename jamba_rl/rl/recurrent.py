"""What all policies with a memory are, whatever trains them: they act one step at a time and carry it along."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor

from jamba_rl.nn import State
from jamba_rl.rl.sequences import count_rows, to_arrays, to_tensors


class RecurrentPolicy(BasePolicy):
    """A policy of SB3 whose memory is explicit: passed in and returned, a tuple of arrays with a row per env."""

    @abstractmethod
    def initial_state(self, n_envs: int) -> State:
        """Empty memory of ``n_envs`` envs."""

    @abstractmethod
    def choose(
        self, obs: PyTorchObs, state: State | None, episode_starts: Tensor | None, deterministic: bool
    ) -> tuple[Tensor, State]:
        """Choose actions in every env.

        :param obs: (n_envs, ...)
        :param state: memory before the step; None for empty
        :param episode_starts: (n_envs,) bool; these envs forget first; None for none of them
        :return: actions, and the memory after them
        """

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """Choose actions and carry the memory, as ``sb3_contrib``'s recurrent policies do.

        :param observation: one observation or a batch of n_envs
        :param state: what the call before returned; None at the very start
        :param episode_start: (n_envs,) bool, set where an episode begins; None for nowhere
        :param deterministic: take the mode instead of a sample
        :return: actions and the memory after them
        :raises ValueError: if that is no observation, or the state is of another number of envs
        """
        if isinstance(observation, tuple):
            raise ValueError(
                "predict() takes an observation and not a tuple; probably you are mixing Gym API with SB3's: "
                "`obs, info = env.reset()` of an env, `obs = venv.reset()` of a VecEnv"
            )
        if self.training:  # to switch walks through all modules, a fifth of the time of a call
            self.set_training_mode(False)
        obs, vectorized = self.obs_to_tensor(observation)
        n_envs = count_rows(obs)
        for what, rows in (("state", None if state is None else state[0]), ("episode_start", episode_start)):
            if rows is not None and len(np.atleast_1d(rows)) != n_envs:
                raise ValueError(f"the {what} is of {len(np.atleast_1d(rows))} envs and the observation of {n_envs}")
        with torch.no_grad():
            memory = None if state is None else to_tensors(state, self.device)
            starts = None
            if episode_start is not None:
                starts = torch.as_tensor(episode_start, device=self.device, dtype=torch.bool).reshape(-1)
            chosen, memory = self.choose(obs, memory, starts, deterministic)
        shape = self.action_space.shape
        assert shape is not None
        actions = self.env_actions(chosen.cpu().numpy().reshape(-1, *shape))
        return (actions if vectorized else actions.squeeze(axis=0)), to_arrays(memory)

    def env_actions(self, actions: np.ndarray) -> np.ndarray:
        """What an env receives for the policy's actions: unscaled if squashed, else clipped to the bounds."""
        if not isinstance(self.action_space, spaces.Box):
            return actions
        if self.squash_output:
            return self.unscale_action(actions)
        return np.clip(actions, self.action_space.low, self.action_space.high)

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        return self.choose(observation, None, None, deterministic)[0]
