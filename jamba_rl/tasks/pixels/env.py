"""One env that shows images."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from jamba_rl.catalogue import UserError
from jamba_rl.tasks.pixels.camera import Camera
from jamba_rl.tasks.pixels.spec import Pixels


class PixelEnv(gymnasium.ObservationWrapper, gymnasium.utils.RecordConstructorArgs):
    """Shows what a MuJoCo env looks like in place of what it measures.

    :param pixels: what images are like
    :raises UserError: the env is none of MuJoCo's, or cannot be drawn like that
    """

    def __init__(self, env: gymnasium.Env, pixels: Pixels) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self, pixels=pixels)
        gymnasium.ObservationWrapper.__init__(self, env)
        body: Any = env.unwrapped
        if not hasattr(body, "mujoco_renderer"):
            raise UserError("pixels: only MuJoCo envs are drawn so small; others have pictures of one size")
        self._renderer = body.mujoco_renderer
        self.camera = Camera(body.model, pixels, self._renderer.default_cam_config or {})
        shape = (pixels.height, pixels.width, 1 if pixels.grey else 3)
        self.observation_space = spaces.Box(0, 255, shape, np.uint8)

    def observation(self, observation: Any) -> np.ndarray:
        """Draw the env as it is now."""
        data: Any = self.env.unwrapped.data  # type: ignore[attr-defined]
        return self.camera.picture(data)

    def render(self) -> Any:
        """Draw the env for people: gymnasium takes for granted that no other OpenGL context was in use."""
        if self._renderer.viewer is not None:
            self._renderer.viewer.make_context_current()
        return self.env.render()

    def close(self) -> None:
        """Let go of the env and of what draws it."""
        self.camera.close()
        self.env.close()
