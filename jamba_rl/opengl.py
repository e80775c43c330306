"""Which OpenGL library MuJoCo draws with: found out by trying, since one that is installed may still not work."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache

from jamba_rl.catalogue import UserError

VARIABLE = "MUJOCO_GL"  # where MuJoCo and gymnasium look
PACKAGES = {"glfw": "libgl1", "egl": "libegl1", "osmesa": "libosmesa6"}  # of Debian; in the order they are tried
PROBE_SECONDS = 60
# A context of no size is not enough: only MuJoCo's own finds out whether there is a driver behind it.
PROBE = """
import mujoco
from mujoco.{name} import GLContext
context = GLContext(8, 8)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), mujoco.mjtFontScale.mjFONTSCALE_100)
"""


def check_wish() -> None:
    """Make sure that the user's MUJOCO_GL, if any, works: with another, the very import of MuJoCo may crash.

    :raises UserError: if it does not; says what to install
    """
    wish = os.environ.get(VARIABLE, "").strip().lower()
    if not wish:
        os.environ.pop(VARIABLE, None)
        return
    if wish not in PACKAGES:
        raise UserError(f"{VARIABLE} is {wish!r} and must be one of {', '.join(PACKAGES)}, or not set")
    if not works(wish):
        raise UserError(
            f"MuJoCo cannot draw with {wish}, which {VARIABLE} asks for: unset it, or install {PACKAGES[wish]} "
            "(the package's name in Debian and Ubuntu)"
        )
    os.environ[VARIABLE] = wish  # gymnasium knows the names in lower case alone


def choose_backend() -> None:
    """Set MUJOCO_GL to a library that works: GLFW where there is a display, else EGL, else OSMesa.

    :raises UserError: if none does, or the one that MUJOCO_GL names does not; says what to install
    """
    check_wish()
    if VARIABLE in os.environ:
        return
    working = next(filter(works, candidates()), None)
    if working is None:
        raise UserError(
            f"MuJoCo cannot draw here (tried {', '.join(candidates())}): install libegl1 or libosmesa6 "
            "(the packages' names in Debian and Ubuntu)"
        )
    os.environ[VARIABLE] = working


@cache
def works(name: str) -> bool:
    """Whether MuJoCo can draw with a library; tried in another process, where it may leave or break what it likes."""
    environment = os.environ | {VARIABLE: name}
    with tempfile.TemporaryDirectory() as folder:  # MuJoCo writes a log file where it fails
        command = [sys.executable, "-c", PROBE.format(name=name)]
        try:
            done = subprocess.run(
                command, env=environment, cwd=folder, capture_output=True, timeout=PROBE_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
    return done.returncode == 0


def has_display() -> bool:
    """Whether windows could be shown."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def candidates() -> list[str]:
    """Libraries to try here, the best first."""
    if not sys.platform.startswith("linux"):
        return ["glfw"]
    return [name for name in PACKAGES if name != "glfw" or has_display()]
