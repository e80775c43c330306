"""HalfCheetah that is told where to run long before it may."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.mujoco.half_cheetah_v4 import HalfCheetahEnv

ENV_ID = "jamba_rl/HalfCheetahCue-v0"


class DirectionCue(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """Rewards running in a direction that was shown in the first steps of the episode only.

    Until the start signal, ``cue_steps + pause`` steps in, actions are ignored and there is no reward: a body that
    could move would remember the direction by where it has got to. From then on the reward is the velocity in the
    direction shown, less the env's own cost of control.

    Observations are those of the env, then the direction (-1 or 1, 0 when it is not shown), whether to run (0 or 1),
    and the action that was executed in the step before, which is zero as long as actions are ignored.

    :param env: gymnasium's HalfCheetah
    :param cue_steps: observations that show the direction
    :param pause: observations after those until the start signal
    """

    def __init__(self, env: gymnasium.Env, cue_steps: int = 5, pause: int = 200) -> None:
        if cue_steps < 1 or pause < 0:
            raise ValueError(f"cue_steps must be at least 1 and pause at least 0, were {cue_steps!r} and {pause!r}")
        gymnasium.utils.RecordConstructorArgs.__init__(self, cue_steps=cue_steps, pause=pause)
        gymnasium.Wrapper.__init__(self, env)
        self.cue_steps, self.start = cue_steps, cue_steps + pause
        seen, acts = env.observation_space, env.action_space
        assert isinstance(seen, spaces.Box)
        assert isinstance(acts, spaces.Box)
        low, high = np.array([-1.0, 0.0]), np.array([1.0, 1.0])
        self.observation_space = spaces.Box(
            np.concatenate([seen.low, low, acts.low]), np.concatenate([seen.high, high, acts.high]), dtype=np.float64
        )
        self._still = np.zeros(acts.shape)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Draw a direction and begin an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.age = 0
        self.direction = 1.0 if self.unwrapped.np_random.random() < 0.5 else -1.0
        return self._with_signals(observation, self._still), info | {"direction": self.direction}

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step, with the action or without."""
        runs = self.age >= self.start
        executed = np.asarray(action, np.float64) if runs else self._still
        observation, _, terminated, truncated, info = self.env.step(executed)
        self.age += 1
        reward = self.direction * info["x_velocity"] + info["reward_ctrl"] if runs else 0.0
        return self._with_signals(observation, executed), reward, terminated, truncated, info

    def _with_signals(self, observation: np.ndarray, executed: np.ndarray) -> np.ndarray:
        cue = self.direction if self.age < self.cue_steps else 0.0
        return np.concatenate([observation, [cue, float(self.age >= self.start)], executed])


def make(cue_steps: int = 5, pause: int = 200, **kwargs: Any) -> gymnasium.Env:
    """Make the env of `ENV_ID`; other arguments are those of HalfCheetah-v4."""
    return DirectionCue(HalfCheetahEnv(**kwargs), cue_steps, pause)


def register() -> None:
    """Tell gymnasium of the env, once."""
    if ENV_ID not in gymnasium.registry:
        gymnasium.register(ENV_ID, entry_point=f"{__name__}:make", max_episode_steps=500)
