"""Where a number came from: command, versions, code and machine."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from jamba_rl.catalogue import PACKAGE
from jamba_rl.version import __version__

PACKAGES = ("torch", "numpy", "gymnasium", "mujoco", "stable-baselines3")


def collect() -> dict[str, Any]:
    """Everything that can make the same command come out differently, as it is now."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]]),
        "versions": {"python": platform.python_version(), "jamba-rl": __version__}
        | {name: _version(name) for name in PACKAGES},
        "git": git_state(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout that this code lies in, and whether files differ from it; None if it lies in none."""
    root = PACKAGE.parent
    if not (root / ".git").exists():  # a wheel inside another project's checkout must not name that one
        return None
    commit, status = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    return None if commit is None else {"commit": commit, "dirty": bool(status)}


def cpu_name() -> str:
    """Model name of the processor, as far as the system tells."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=PACKAGE.parent, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
