"""Agents with a memory and a replay that are as quick as can be, of every kind."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from jamba_rl.rl import RecurrentSAC
from tests.rl.clock import Clock
from tests.rl.conformance.tiny import tiny_kwargs

REAL = spaces.Box(-1, 1, (2,), np.float32)


def tiny(policy, env, policy_kwargs=None, **kwargs) -> RecurrentSAC:
    """Make an agent that makes two updates after every eighth step, from the twenty-fifth on."""
    options = {"sequence_length": 4, "learning_starts": 20, "batch_size": 8, "buffer_size": 500, "train_freq": 8}
    options |= {"gradient_steps": 2, "seed": 0, "device": "cpu"} | kwargs
    return RecurrentSAC(policy, env, policy_kwargs=tiny_kwargs(policy, **(policy_kwargs or {})), **options)


def clocks(n_envs=2, **kwargs) -> DummyVecEnv:
    """Envs whose episodes have 5, 6, ... steps."""
    return DummyVecEnv([lambda i=i: Clock(length=5 + i, **kwargs) for i in range(n_envs)])


class Noise(gym.Env):
    """Random observations, episodes of 10 steps; refuses what is no action."""

    def __init__(self, observations: spaces.Space = REAL, actions: spaces.Space = REAL):
        self.observation_space, self.action_space = observations, actions

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.t = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert np.shape(action) == self.action_space.shape
        assert np.all(action >= self.action_space.low)
        assert np.all(action <= self.action_space.high)
        self.t += 1
        return self.observation_space.sample(), 0.0, False, self.t == 10, {}


class StopAt(BaseCallback):
    """Stops training after so many calls."""

    def __init__(self, calls: int):
        super().__init__()
        self.calls = calls

    def _on_step(self):
        return self.n_calls < self.calls


def weights(model) -> dict:
    """A copy of all that was learned."""
    return {name: value.clone() for name, value in model.policy.state_dict().items()}


def same(one: dict, two: dict) -> bool:
    """Whether two sets of weights are equal bit for bit."""
    return one.keys() == two.keys() and all(bool((value == two[name]).all()) for name, value in one.items())
