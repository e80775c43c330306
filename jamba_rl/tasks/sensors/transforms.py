"""What can happen to a measurement, as numpy functions over ``[..., obs]``: for one observation and batches alike.

Chance is passed in, so that whoever draws it decides what is the same when.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def select(x: np.ndarray, kept: Sequence[int]) -> np.ndarray:
    """Return the kept observation numbers of ``x`` (..., obs).

    >>> select(np.arange(8).reshape(2, 4), [0, 3])
    array([[0, 3],
           [4, 7]])
    """
    return x[..., list(kept)]


def add_noise(x: np.ndarray, deviation: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Add noise.

    :param x: (..., obs)
    :param deviation: (obs,) standard deviation of each sensor's noise, in its own unit
    :param normal: (..., obs) of a standard normal distribution
    """
    return x + deviation * normal


def lose(x: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """Return zero where a measurement (..., obs) is lost; ``lost`` is (..., obs) or (..., 1) bool."""
    return np.where(lost, 0.0, x)


def hold(x: np.ndarray, held: np.ndarray, frozen: np.ndarray) -> np.ndarray:
    """Return what is held where a sensor is frozen, else ``x``; all (..., obs)."""
    return np.where(frozen, held, x)


def blink(x: np.ndarray, cue: np.ndarray, age: np.ndarray, steps: int) -> np.ndarray:
    """Return ``x`` with a cue that is zero after the first ``steps`` observations of an episode.

    :param x: (..., obs)
    :param cue: (obs,) bool, what belongs to it
    :param age: (...) observations of the episode before this one
    """
    return lose(x, cue & (age >= steps)[..., None])
