"""An env of noise that looks at what it is given."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces

REAL = spaces.Box(-1, 1, (2,), np.float32)


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
        if isinstance(self.action_space, spaces.Box):
            assert np.shape(action) == self.action_space.shape
            assert np.all(action >= self.action_space.low)
            assert np.all(action <= self.action_space.high)
        else:
            assert self.action_space.contains(np.asarray(action, self.action_space.dtype)[()])
        self.t += 1
        return self.observation_space.sample(), 0.0, False, self.t == 10, {}
