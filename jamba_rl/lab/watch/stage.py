"""One env of a task that can be looked at."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from PIL import Image
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from jamba_rl.catalogue import UserError
from jamba_rl.opengl import choose_backend, has_display
from jamba_rl.tasks import Task, make_single_env

USUAL_FPS = 30.0  # for envs that do not say how many steps there are to a second

Size = tuple[int, int]
"""Width and height of a picture, in pixels."""


class Stage:
    """An env of a task, and the pictures of it.

    :param size: of pictures; default the env's own
    :param quick: leave out shadows and smooth edges, which take nine tenths of the time where there is no GPU
    :ivar venv: the env, to be wrapped as its agent sees it
    :ivar fps: its steps per second of its own time
    :raises UserError: if it has no pictures, or what draws them is not there
    """

    def __init__(self, task: Task, size: Size | None = None, quick: bool = False) -> None:
        self.task, self.size = task, size
        _prepare_pygame()
        blind = make_single_env(task)  # says how it could be looked at
        has_mujoco = hasattr(blind.unwrapped, "mujoco_renderer")
        blind.close()
        if "rgb_array" not in (blind.metadata.get("render_modes") or ()):
            raise UserError(f"env {task.name!r} has no pictures to watch: it lacks the render mode rgb_array")
        if has_mujoco:
            choose_backend()
            task = _drawn_at(task, size)
        self.env = make_single_env(task, render_mode="rgb_array")
        if has_mujoco and quick:
            unwrapped: Any = self.env.unwrapped
            quality = unwrapped.model.vis.quality
            quality.shadowsize = quality.offsamples = 0
        self.fps = float(self.env.metadata.get("render_fps") or USUAL_FPS)
        self.venv = DummyVecEnv([lambda: Monitor(self.env)])
        self._try()

    def picture(self) -> np.ndarray:
        """The env at present, (height, width, 3) uint8."""
        picture: Any = self.env.render()
        if self.size is not None and picture.shape[:2] != self.size[::-1]:
            return np.asarray(Image.fromarray(picture).resize(self.size, Image.Resampling.LANCZOS))
        return np.array(picture)  # a copy: some envs draw into the same array again

    def close(self) -> None:
        """Let go of the env and of what draws it."""
        self.venv.close()

    def _try(self) -> None:
        """Draw once, so that what is missing shows before anything is played or written."""
        self.venv.seed(0)
        self.venv.reset()
        try:
            shape, kind = self.picture().shape, self.picture().dtype
        except Exception as error:  # a driver may raise anything
            self.close()
            raise UserError(f"env {self.task.name!r} cannot be drawn: {' '.join(str(error).split())}") from error
        if len(shape) != 3 or shape[2] != 3 or kind != np.uint8:
            self.close()
            raise UserError(f"env {self.task.name!r} cannot be watched: its pictures are {shape} of {kind}")


def _drawn_at(task: Task, size: Size | None) -> Task:
    """A task of MuJoCo that is drawn at a size, which is sharper and quicker than to change it afterwards."""
    if size is None:
        return task
    return task.model_copy(update={"kwargs": task.kwargs | {"width": size[0], "height": size[1]}})


def _prepare_pygame() -> None:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    if not has_display():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
