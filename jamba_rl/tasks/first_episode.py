"""Copies of an env that are not in step."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium


class FirstEpisodeCut(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """Truncates the very first episode after ``steps`` steps; the later ones are whole."""

    def __init__(self, env: gymnasium.Env, steps: int) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self, steps=steps)
        gymnasium.Wrapper.__init__(self, env)
        self.left = steps

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step, and cut once."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self.left > 0:
            self.left = 0 if terminated or truncated else self.left - 1
            truncated = truncated or (self.left == 0 and not terminated)
        return observation, reward, terminated, truncated, info
