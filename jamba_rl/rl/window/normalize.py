"""Running normalisation of histories."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from jamba_rl.rl.window.history import Rows, is_history


class VecHistoryNormalize(VecNormalize):
    """SB3's ``VecNormalize`` for histories, with one mean and variance per observation number.

    ``VecNormalize`` itself would keep them for every lag, and learn them from the zeros before the
    start of episodes too. Here every observation counts once, when it is new; all of a history is
    scaled alike; what is not an observation stays as it is. To SB3 it is a ``VecNormalize``: buffers
    keep what was observed and scale it when they sample, callbacks save it and keep copies in step.

    ``VecHistory(VecNormalize(venv), length)`` learns the same statistics, but is for on-policy
    algorithms only: replay buffers are not shown histories there.

    :param venv: envs that show histories
    :param kwargs: further arguments of ``VecNormalize``
    :raises ValueError: the observations are no histories

    >>> from stable_baselines3.common.env_util import make_vec_env
    >>> from jamba_rl.rl import VecHistory
    >>> venv = VecHistoryNormalize(VecHistory(make_vec_env("Pendulum-v1", 2), length=8))
    >>> venv.obs_rms["history"].mean.shape
    (3,)
    """

    def __init__(self, venv: VecEnv, **kwargs: Any) -> None:
        if not is_history(venv.observation_space):
            raise ValueError("VecHistoryNormalize is for histories: put VecHistory(venv, 32) inside")
        super().__init__(venv, norm_obs_keys=["history"], **kwargs)
        if self.norm_obs:
            size = venv.observation_space["history"].shape[-1]  # type: ignore[index]
            self.obs_rms = {"history": _OfNewest(shape=(size,))}

    def normalize_obs(self, obs: Rows) -> Rows:  # type: ignore[override]
        """Scale observations of histories (..., length, obs), and leave zeros where there is none."""
        return _blanked(super().normalize_obs(obs))  # type: ignore[arg-type]

    def unnormalize_obs(self, obs: Rows) -> Rows:  # type: ignore[override]
        """Undo ``normalize_obs``, as far as nothing was clipped."""
        return _blanked(super().unnormalize_obs(obs))  # type: ignore[arg-type]


class _OfNewest(RunningMeanStd):
    """Statistics of the newest observation of each history."""

    def update(self, arr: np.ndarray) -> None:
        super().update(arr[:, -1])


def _blanked(rows: Rows) -> Rows:
    return rows | {"history": rows["history"] * rows["valid"][..., None]}
