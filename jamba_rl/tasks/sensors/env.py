"""Sensors of one gymnasium env."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
import numpy as np

from jamba_rl.tasks.sensors.rules import Rules
from jamba_rl.tasks.sensors.sensors import Sensors


class SensorEnv(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """Shows an env as sensors do; ``reset(seed=...)`` seeds their chance too.

    :param rules: what happens to measurements
    """

    def __init__(self, env: gymnasium.Env, rules: Rules) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self, rules=rules)
        gymnasium.Wrapper.__init__(self, env)
        self.observation_space = rules.space
        self.sensors = Sensors(rules, 1)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        measured, info = self.env.reset(seed=seed, options=options)
        if seed is not None:
            self.sensors.seed([seed])
        return self.sensors.begin(measured[None], np.arange(1))[0], info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step, and look."""
        measured, *rest = self.env.step(action)
        return self.sensors.observe(measured[None])[0], *rest
