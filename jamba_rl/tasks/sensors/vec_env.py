"""Sensors of many envs at once, however these are stepped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn, VecEnvWrapper

from jamba_rl.tasks.sensors.rules import Rules
from jamba_rl.tasks.sensors.sensors import Sensors


class SensorVecEnv(VecEnvWrapper):
    """Shows envs as sensors do: env i of a batch as ``SensorEnv`` shows it alone with the same seed.

    :param rules: what happens to measurements
    """

    def __init__(self, venv: VecEnv, rules: Rules) -> None:
        super().__init__(venv, observation_space=rules.space)
        self.sensors = Sensors(rules, venv.num_envs)
        self._seeds_of_sensors: list[int | None] | None = None

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed envs and sensors, from the next reset on."""
        seeds = self.venv.seed(seed)
        self._seeds_of_sensors = [None if each is None else int(each) for each in seeds]
        return seeds

    def reset(self) -> VecEnvObs:
        """Begin an episode in every env."""
        measured = self.venv.reset()
        if self._seeds_of_sensors is not None:
            self.sensors.seed(self._seeds_of_sensors)
            self._seeds_of_sensors = None
        return self.sensors.begin(measured, np.arange(self.num_envs))  # type: ignore[arg-type]

    def step_wait(self) -> VecEnvStepReturn:
        """Finish a step, and look: where an episode ended at its last measurement, then at the next one's first."""
        measured, rewards, dones, infos = self.venv.step_wait()
        ended = np.flatnonzero(dones)
        if not len(ended):
            return self.sensors.observe(measured), rewards, dones, infos  # type: ignore[arg-type]
        last = np.array(measured)
        last[ended] = [infos[i]["terminal_observation"] for i in ended]
        seen = self.sensors.observe(last)
        for i in ended.tolist():
            infos[i]["terminal_observation"] = seen[i].copy()
        seen[ended] = self.sensors.begin(measured[ended], ended)  # type: ignore[index]
        return seen, rewards, dones, infos
