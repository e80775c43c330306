"""MuJoCo envs that are seen as images."""

from jamba_rl.tasks.pixels.env import PixelEnv
from jamba_rl.tasks.pixels.spec import Pixels, View

__all__ = ["PixelEnv", "Pixels", "View"]
