"""Envs in processes of their own."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gymnasium
from stable_baselines3.common.vec_env import SubprocVecEnv


class ProcessVecEnv(SubprocVecEnv):
    """SB3's, whose processes filter warnings as this one does, and leave Ctrl-C to it, which may have much to save.

    :param makers: of the envs; what they hold is pickled
    """

    def __init__(self, makers: Sequence[Callable[[], gymnasium.Env]]) -> None:
        super().__init__([partial(_made_in_process, make, list(warnings.filters)) for make in makers])


def _made_in_process(make: Callable[[], gymnasium.Env], filters: list[Any]) -> gymnasium.Env:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.filters[:] = filters  # type: ignore[index]
    return make()
