"""An env that counts, and small models on it."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv

from jamba_rl.rl import RecurrentPPO
from jamba_rl.rl.ppo.policies import POLICIES

SMALL = {"network": {"d_model": 16, "pattern": "MA", "window": 8, "num_heads": 2}}
OURS = ["JambaPolicy", "MambaPolicy", "AttentionPolicy", "SSMPolicy", "LstmPolicy", "GruPolicy", "MlpPolicy"]
REMEMBER = OURS[:-1]
CLASSES = [POLICIES[name] for name in OURS]


class Clock(gym.Env):
    """Episodes of ``length`` steps; observes (step, episode number), reward 1 per step."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)

    def __init__(self, length: int = 5, truncate: bool = True, action_space: spaces.Space | None = None):
        self.length, self.truncate, self.episode = length, truncate, 0
        self.action_space = action_space or spaces.Box(-2.0, 2.0, (1,), np.float32)

    def _observe(self):
        return np.array([self.t, self.episode], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.episode = 0, self.episode + 1
        return self._observe(), {}

    def step(self, action):
        self.t += 1
        over = self.t >= self.length
        return self._observe(), 1.0, over and not self.truncate, over and self.truncate, {}


def clock_model(n_envs=2, n_steps=16, policy="JambaPolicy", env_kwargs=None, **kwargs) -> RecurrentPPO:
    venv = DummyVecEnv([lambda i=i: Clock(length=5 + i, **(env_kwargs or {})) for i in range(n_envs)])
    options = {"n_steps": n_steps, "batch_size": 16, "n_epochs": 1, "seed": 0, "device": "cpu"} | kwargs
    if policy == "JambaPolicy":
        options.setdefault("policy_kwargs", SMALL)
    return RecurrentPPO(policy, venv, **options)


def collect(model: RecurrentPPO, rollouts: int = 1) -> None:
    """Collect without updating."""
    _, callback = model._setup_learn(1000, None)
    for _ in range(rollouts):
        assert model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
