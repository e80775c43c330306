"""Small pictures of a MuJoCo model, as quickly as they can be drawn."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from jamba_rl.catalogue import UserError, unknown
from jamba_rl.opengl import VARIABLE, choose_backend
from jamba_rl.tasks.pixels.spec import Pixels, View

# What takes most of the time where there is no GPU, and shows nothing in a picture of a few hundred pixels.
LEFT_OUT = ("mjRND_SHADOW", "mjRND_REFLECTION", "mjRND_SKYBOX", "mjRND_FOG", "mjRND_HAZE")
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue: ITU-R BT.601
MAX_GEOMS = 1000


class Camera:
    """Draws a model, without shadows and smooth edges, in an OpenGL context of its own.

    ``mujoco.Renderer`` would take its OpenGL library from what MUJOCO_GL was when MuJoCo was first imported.

    :param model: an ``mjModel``; it is left as it is
    :param usual: fields of the ``mjvCamera`` that the env itself would draw with
    :raises UserError: there is no such camera or body, or nothing here that MuJoCo could draw with
    """

    def __init__(self, model: Any, pixels: Pixels, usual: Mapping[str, Any]) -> None:
        import mujoco

        self.model, self.pixels, self._mujoco = model, pixels, mujoco
        self._seat = _seat(model, pixels, usual)
        choose_backend()
        library = importlib.import_module(f"mujoco.{os.environ[VARIABLE]}")
        self._gl = library.GLContext(pixels.width, pixels.height)
        self._gl.make_current()
        with _plain(model, pixels):
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene, self._option = mujoco.MjvScene(model, MAX_GEOMS), mujoco.MjvOption()
        for name in LEFT_OUT:
            self._scene.flags[getattr(mujoco.mjtRndFlag, name)] = 0
        self._frame = mujoco.MjrRect(0, 0, pixels.width, pixels.height)
        self._read = np.empty((pixels.height, pixels.width, 3), np.uint8)

    def picture(self, data: Any) -> np.ndarray:
        """Draw an ``mjData``: (height, width, 3) uint8, or (height, width, 1) if grey."""
        mujoco = self._mujoco
        self._gl.make_current()
        category = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self.model, data, self._option, None, self._seat, category, self._scene)
        mujoco.mjr_render(self._frame, self._scene, self._context)
        mujoco.mjr_readPixels(self._read, None, self._frame, self._context)
        upright = self._read[::-1]  # OpenGL begins at the bottom
        if not self.pixels.grey:
            return upright.copy()
        return (upright @ LUMA + 0.5).astype(np.uint8)[..., None]

    def close(self) -> None:
        """Let go of what OpenGL holds; closing twice does nothing more."""
        if self._gl is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._gl = None


def _seat(model: Any, pixels: Pixels, usual: Mapping[str, Any]) -> Any:
    """The ``mjvCamera`` to draw with."""
    import mujoco

    seat = mujoco.MjvCamera()
    if pixels.camera is not None:
        if pixels.view != View():
            raise UserError("pixels: say camera, which the model has, or view, where one stands: not both")
        seat.type = mujoco.mjtCamera.mjCAMERA_FIXED
        seat.fixedcamid = _number(model, mujoco.mjtObj.mjOBJ_CAMERA, model.ncam, "camera", pixels.camera)
        return seat
    mujoco.mjv_defaultFreeCamera(model, seat)
    for name, value in {**usual, **pixels.view.model_dump(exclude={"follow"}, exclude_none=True)}.items():
        if name == "lookat":
            seat.lookat[:] = value
        else:
            setattr(seat, name, value)
    if pixels.view.follow is not None:
        seat.type = mujoco.mjtCamera.mjCAMERA_TRACKING
        seat.trackbodyid = _number(model, mujoco.mjtObj.mjOBJ_BODY, model.nbody, "view.follow", pixels.view.follow)
    return seat


def _number(model: Any, kind: Any, count: int, key: str, name: str) -> int:
    import mujoco

    number = mujoco.mj_name2id(model, kind, name)
    if number < 0:
        known = [mujoco.mj_id2name(model, kind, i) for i in range(count)]
        what = "camera" if key == "camera" else "body"
        raise UserError(f"pixels.{key}: {unknown(what, name, filter(None, known))}")
    return number


@contextmanager
def _plain(model: Any, pixels: Pixels) -> Iterator[None]:
    """A model whose pictures are no larger than they have to be, without shadows, and not smoothed."""
    vis = model.vis
    usual = (vis.global_.offwidth, vis.global_.offheight, vis.quality.offsamples, vis.quality.shadowsize)
    vis.global_.offwidth, vis.global_.offheight = pixels.width, pixels.height
    vis.quality.offsamples = vis.quality.shadowsize = 0
    try:
        yield
    finally:
        vis.global_.offwidth, vis.global_.offheight, vis.quality.offsamples, vis.quality.shadowsize = usual
