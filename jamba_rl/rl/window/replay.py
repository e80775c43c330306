"""A replay buffer of histories that keeps single steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.type_aliases import DictReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from jamba_rl.rl.window.history import Rows, is_history, pushed


class HistoryReplayBuffer(DictReplayBuffer):
    """Keeps the newest step of each history and puts histories together when it samples.

    It takes 1/length of the memory of SB3's ``DictReplayBuffer`` and samples the same. SB3 chooses
    the buffer before it makes the policy, so it has to be asked for:
    ``SAC("JambaPolicy", env, replay_buffer_class=HistoryReplayBuffer)``.

    Steps of an env must be added in order, as SB3 does. Where one does not follow from the one
    before it, such as in the middle of an episode after a pause, its history begins there.

    Arguments are those of ``DictReplayBuffer``. ``buffer_size`` counts the steps that can be
    sampled; length - 1 more per env are kept as the past of the oldest.

    :raises ValueError: the observations are no histories
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Dict,
        action_space: spaces.Space,
        device: torch.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
    ) -> None:
        if not is_history(observation_space):
            raise ValueError(f"HistoryReplayBuffer is for histories, not for {observation_space}; see HistoryWrapper")
        if optimize_memory_usage:
            raise ValueError(
                "HistoryReplayBuffer keeps single steps and no histories anyway: leave out optimize_memory_usage"
            )
        length = observation_space["valid"].shape[0]  # type: ignore[index]
        size = (max(buffer_size // n_envs, 1) + length - 1) * n_envs
        rows = spaces.Dict({key: _row(part) for key, part in observation_space.items() if isinstance(part, spaces.Box)})
        super().__init__(
            size, rows, action_space, device, n_envs, handle_timeout_termination=handle_timeout_termination
        )
        self.observation_space = observation_space
        self.length = length
        # of the history that ends with each step, how many steps there are
        self.ages = np.zeros((self.buffer_size, n_envs), np.int32)

    def add(  # type: ignore[override]
        self,
        obs: Rows,
        next_obs: Rows,
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """Add one step of every env.

        :raises ValueError: SB3 passed observations without their history
        """
        if not isinstance(obs, dict):
            raise ValueError(
                "SB3 looks for observations below VecNormalize, and there are no histories there: "
                "put VecHistoryNormalize around VecHistory instead of VecHistory around VecNormalize"
            )
        self.ages[self.pos] = np.minimum(obs["valid"].sum(-1), self._continued(obs) + 1)
        super().add(_newest(obs), _newest(next_obs), action, reward, done, infos)

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> DictReplayBufferSamples:  # type: ignore[override]
        """Sample steps with their histories; normalised by ``env``."""
        if not self.full:
            return super().sample(batch_size, env)
        past = self.length - 1
        steps = np.random.randint(past, self.buffer_size, size=batch_size)  # noqa: NPY002 (SB3 seeds this generator)
        return self._get_samples((self.pos + steps) % self.buffer_size, env)

    def _get_samples(  # type: ignore[override]
        self, batch_inds: np.ndarray, env: VecNormalize | None = None
    ) -> DictReplayBufferSamples:
        env_inds = np.random.randint(0, high=self.n_envs, size=len(batch_inds))  # noqa: NPY002
        at = (batch_inds, env_inds)
        rows = self._histories(*at)
        after = {key: part[at] for key, part in self.next_observations.items()}
        after["valid"] = np.ones(len(batch_inds), np.int8)
        ends = (self.dones[at] * (1 - self.timeouts[at])).reshape(-1, 1)
        return DictReplayBufferSamples(
            observations=self._tensors(rows, env),
            actions=self.to_torch(self.actions[at]),
            next_observations=self._tensors(pushed(rows, after), env),
            dones=self.to_torch(ends),
            rewards=self.to_torch(self._normalize_reward(self.rewards[at].reshape(-1, 1), env)),
        )

    def _histories(self, steps: np.ndarray, envs: np.ndarray) -> Rows:
        """Histories (B, length, ...) that end with ``steps`` (B,) of ``envs`` (B,)."""
        back = np.arange(self.length)[::-1]
        valid = back < self.ages[steps, envs][:, None]
        window = ((steps[:, None] - back) % self.buffer_size, envs[:, None])
        rows = {key: np.where(valid[..., None], part[window], 0) for key, part in self.observations.items()}
        return rows | {"valid": valid.astype(np.int8)}

    def _continued(self, obs: Rows) -> np.ndarray:
        """Of each env, how many kept steps lead up to a step with the history ``obs``, (n_envs,)."""
        if self.length == 1 or not (self.full or self.pos):
            return np.zeros(self.n_envs, np.int32)
        before = (self.pos - 1) % self.buffer_size
        follows = [(obs[key][:, -2] == part[before]).all(-1) for key, part in self.observations.items()]
        return np.where(np.all(follows, axis=0), self.ages[before], 0)

    def _tensors(self, rows: Rows, env: VecNormalize | None) -> dict[str, torch.Tensor]:
        normalized = self._normalize_obs(rows, env)
        assert isinstance(normalized, dict)
        return {key: self.to_torch(part) for key, part in normalized.items()}


def _newest(obs: Rows) -> Rows:
    return {key: part[:, -1] for key, part in obs.items() if key != "valid"}


def _row(space: spaces.Box) -> spaces.Box:
    """One step of a space of ``length`` steps."""
    return spaces.Box(space.low[-1], space.high[-1], dtype=space.dtype)
