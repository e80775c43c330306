"""What a process that trains or plays is set up with."""

from __future__ import annotations

import sys
import warnings

import gymnasium  # noqa: F401 (it puts its own filter of warnings first, ours has to come after)
import mujoco
import torch


def prepare() -> None:
    """One thread, and no warnings that a user of the command line can do nothing about.

    For networks this small, more threads cost more than they give.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", ".*is out of date", DeprecationWarning)
    mujoco.set_mju_user_warning(_warn_of_simulation)  # its own handler would also leave a log file behind


def _warn_of_simulation(message: str) -> None:
    if "deprecated" not in message:  # those concern the authors of the robot's XML
        print(f"mujoco: {message.strip()}", file=sys.stderr)
