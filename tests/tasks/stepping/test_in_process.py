"""Envs of one process are SB3's, without the copies."""

from __future__ import annotations

from typing import ClassVar

import gymnasium
import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from jamba_rl.tasks.stepping import InProcessVecEnv


def test_stepping_in_process_gives_what_sb3s_dummy_gives() -> None:
    def make():
        return Monitor(gymnasium.make("Pendulum-v1"))

    ours, theirs = InProcessVecEnv([make] * 2), DummyVecEnv([make] * 2)
    for venv in (ours, theirs):
        venv.seed(4)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    for step in range(401):
        actions = np.full((2, 1), np.sin(step), np.float32)
        (*arrays, infos), (*expected, their_infos) = ours.step(actions), theirs.step(actions)
        for array, other in zip(arrays, expected, strict=True):
            np.testing.assert_array_equal(array, other)
        for info, other in zip(infos, their_infos, strict=True):
            assert info.keys() == other.keys()
            assert info["TimeLimit.truncated"] == other["TimeLimit.truncated"]
            if "terminal_observation" in info:
                np.testing.assert_array_equal(info["terminal_observation"], other["terminal_observation"])
                assert info["episode"]["r"] == other["episode"]["r"]


def test_what_a_step_returned_is_not_changed_by_the_next() -> None:
    class Reuser(gymnasium.Wrapper):
        """Fills one and the same info and observation."""

        shared: ClassVar[dict] = {}
        array = np.zeros(3, np.float32)

        def step(self, action):
            self.shared["count"] = self.shared.get("count", 0) + 1
            observation, reward, *rest, _ = self.env.step(action)
            self.array[:] = observation
            return self.array, reward, *rest, self.shared

    venv = InProcessVecEnv([lambda: Reuser(gymnasium.make("Pendulum-v1"))])
    venv.reset()
    first = venv.step(np.ones((1, 1), np.float32))
    kept = [part.copy() for part in first[:3]]
    venv.step(-np.ones((1, 1), np.float32))
    assert first[3][0]["count"] == 1
    for part, copy in zip(first[:3], kept, strict=True):
        np.testing.assert_array_equal(part, copy)
