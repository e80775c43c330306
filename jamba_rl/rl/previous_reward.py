"""The last reward as a part of what an agent sees.

``RecurrentPPO`` gives its policies the previous action by itself, since whoever acts knows what was
done. The reward is known to the env alone: ``predict(obs, state, episode_start)`` is not told it, and
a policy that saw it in training would miss it in use. So the env has to show it.
"""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn, VecEnvWrapper

KEY = "previous_reward"


class PreviousReward(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """Shows the reward of the step before, 0 at the start of an episode.

    A vector gets it as one number more at its end, a dict under ``previous_reward``. It is as the
    env gives it: to scale it, let ``VecNormalize`` scale observations, outside of this wrapper.

    :param env: an env whose observations are vectors or dicts
    :raises ValueError: they are anything else

    >>> env = PreviousReward(gymnasium.make("CartPole-v1"))
    >>> env.reset(seed=0)[0].shape, env.reset()[0][-1], env.step(0)[0][-1]
    ((5,), np.float32(0.0), np.float32(1.0))
    """

    def __init__(self, env: gymnasium.Env) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self)
        gymnasium.Wrapper.__init__(self, env)
        self.observation_space = with_reward_space(env.observation_space)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        return _joined(observation, np.zeros(1), self.observation_space), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step, and show what it gave."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        seen = _joined(observation, np.array([float(reward)]), self.observation_space)
        return seen, reward, terminated, truncated, info


class VecPreviousReward(VecEnvWrapper):
    """``PreviousReward`` for a ``VecEnv``; an episode's ``terminal_observation`` shows the last reward.

    :param venv: envs whose observations are vectors or dicts
    :raises ValueError: they are anything else
    """

    def __init__(self, venv: VecEnv) -> None:
        super().__init__(venv, observation_space=with_reward_space(venv.observation_space))

    def reset(self) -> VecEnvObs:
        """Begin an episode in every env."""
        seen: VecEnvObs = _joined(self.venv.reset(), np.zeros((self.num_envs, 1)), self.observation_space)
        return seen

    def step_wait(self) -> VecEnvStepReturn:
        """Finish a step, and show what it gave."""
        observations, rewards, dones, infos = self.venv.step_wait()
        for i in np.flatnonzero(dones).tolist():
            if "terminal_observation" in infos[i]:
                last, space = infos[i]["terminal_observation"], self.observation_space
                infos[i]["terminal_observation"] = _joined(last, rewards[i : i + 1], space)
        seen = _joined(observations, np.where(dones, 0.0, rewards)[:, None], self.observation_space)
        return seen, rewards, dones, infos


def with_reward_space(space: spaces.Space) -> spaces.Space:
    """Observations of ``space`` and a reward."""
    anything = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    if isinstance(space, spaces.Dict) and KEY not in space.spaces:
        return spaces.Dict({**space.spaces, KEY: anything})
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        dtype: Any = space.dtype if space.dtype is not None and space.dtype.kind == "f" else np.float32
        low, high = np.append(space.low, -np.inf), np.append(space.high, np.inf)
        return spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype)
    raise ValueError(f"a reward can be joined to a vector or a dict without {KEY!r}, not to {space}")


def _joined(observation: Any, reward: np.ndarray, space: spaces.Space) -> Any:
    """``observation`` (..., obs) and ``reward`` (..., 1) as an element of ``space``."""
    if isinstance(space, spaces.Dict):
        return {**observation, KEY: reward.astype(np.float32)}
    return np.concatenate([observation, reward], axis=-1, dtype=space.dtype)
