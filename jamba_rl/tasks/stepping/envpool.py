"""MuJoCo in EnvPool's threads (Weng et al. 2022, arXiv 2206.10558), with the manners of SB3's envs."""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from jamba_rl.catalogue import UserError

# What EnvPool has of gymnasium's MuJoCo, by name; Pusher does not run on current MuJoCo.
NAMES = ("Ant", "HalfCheetah", "Hopper", "Humanoid", "HumanoidStandup", "InvertedDoublePendulum", "InvertedPendulum",
         "Reacher", "Swimmer", "Walker2d")  # fmt: skip
IDS = frozenset(f"{name}-{version}" for name in NAMES for version in ("v4", "v5"))


class EnvPoolVecEnv(VecEnv):
    """Copies of a MuJoCo env, stepped by EnvPool.

    Episodes begin anew in the step that ends them, the last observation being ``terminal_observation`` in the info.
    Actions are scaled to [-1, 1]. Episodes report return and length as ``Monitor`` does. Time limits are gymnasium's.
    The random numbers are EnvPool's own: the same seed gives other episodes than gymnasium's.

    :param env_id: one of `IDS`
    :param n_envs: how many copies
    :param kwargs: of the env
    :param limit: steps of an episode; None for gymnasium's
    :param first_limits: (n_envs,) of each copy's very first episode, which is not reported if it is cut by that
    :param threads: that step them; 0 for as many as there are cores
    :raises UserError: if EnvPool is not installed, does not know the env, or it does not take an argument
    """

    def __init__(
        self,
        env_id: str,
        n_envs: int,
        kwargs: dict[str, Any] | None = None,
        *,
        limit: int | None = None,
        first_limits: Sequence[int] | None = None,
        threads: int = 0,
    ) -> None:
        if env_id not in IDS:
            raise UserError(f"EnvPool steps gymnasium's MuJoCo (such as HalfCheetah-v4) and nothing else: not {env_id}")
        self.spec = gymnasium.spec(env_id)
        self._limit = limit or self.spec.max_episode_steps or 1000
        self._first_limits = None if first_limits is None else np.asarray(first_limits)
        self._arguments = {
            "num_envs": n_envs,
            "num_threads": threads,
            "max_episode_steps": self._limit,
            **(kwargs or {}),
        }
        self._seed = 0
        self._pool = self._make(env_id)
        self.render_mode = None
        seen, bounds = self._pool.observation_space, self._pool.action_space
        self._middle, self._reach = (bounds.high + bounds.low) / 2, (bounds.high - bounds.low) / 2
        super().__init__(
            n_envs,
            spaces.Box(seen.low, seen.high, seen.shape, seen.dtype.type),
            spaces.Box(-1.0, 1.0, bounds.shape, np.float32),
        )

    def _make(self, env_id: str) -> Any:
        try:
            envpool = importlib.import_module("envpool")
        except ImportError as error:
            raise UserError(f"envpool is not installed: pip install envpool ({error})") from error
        try:
            return envpool.make(env_id, env_type="gymnasium", seed=self._seed, **self._arguments)
        except (TypeError, ValueError, AssertionError, RuntimeError) as error:
            raise UserError(f"EnvPool cannot make {env_id}: {' '.join(str(error).split())}") from error

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed copy i with ``seed + i``, from the next reset on."""
        seeds = super().seed(seed)
        self._seed = int(self._seeds[0] or 0)
        return seeds

    def reset(self) -> np.ndarray:
        """Begin an episode in every copy."""
        if self._seeds[0] is not None:
            self._pool.close()
            self._pool = self._make(self.spec.id)
            self._reset_seeds()
        self._limits = np.full(self.num_envs, self._limit)
        if self._first_limits is not None:
            self._limits, self._first_limits = self._first_limits.copy(), None
        self._steps, self._returns = np.zeros(self.num_envs, np.int64), np.zeros(self.num_envs)
        self._began = time.time()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        observations: np.ndarray = self._pool.reset()[0]
        return observations.copy()

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions (n_envs, A) of the next step."""
        self._actions = self._middle + self._reach * np.asarray(actions, np.float64)

    def step_wait(self) -> VecEnvStepReturn:
        """Step all copies."""
        observations, rewards, terminated, truncated, _ = self._pool.step(self._actions)
        self._steps += 1
        self._returns += rewards
        truncated = (truncated | (self._steps >= self._limits)) & ~terminated
        dones = terminated | truncated
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": False} for _ in range(self.num_envs)]
        ended = np.flatnonzero(dones)
        if len(ended):
            for i in ended.tolist():
                infos[i] = self._last_info(i, bool(truncated[i]), observations[i])
            observations = observations.copy()
            observations[ended] = self._pool.reset(ended.astype(np.int32))[0]
            self._steps[ended], self._returns[ended], self._limits[ended] = 0, 0.0, self._limit
        return observations, rewards.astype(np.float32), dones, infos

    def _last_info(self, i: int, truncated: bool, observation: np.ndarray) -> dict[str, Any]:
        info: dict[str, Any] = {"TimeLimit.truncated": truncated, "terminal_observation": observation.copy()}
        if not truncated or self._limits[i] == self._limit:
            elapsed = round(time.time() - self._began, 6)
            info["episode"] = {"r": round(float(self._returns[i]), 6), "l": int(self._steps[i]), "t": elapsed}
        return info

    def close(self) -> None:
        """Stop the threads."""
        self._pool.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Get what all copies share: there are no env objects."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuse: there are no env objects."""
        raise AttributeError(f"envs of EnvPool have no attributes to set, such as {attr_name}")

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Refuse: there are no env objects."""
        raise AttributeError(f"envs of EnvPool have no methods, such as {method_name}")

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """No copy is wrapped, though all are monitored."""
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]
