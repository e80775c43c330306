"""What an agent costs to run: time for a step, memory of the process."""

from __future__ import annotations

import sys
import time
from statistics import median
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

WARM_UP, STEPS = 20, 200


def predict_ms(model: BaseAlgorithm) -> float:
    """Time that an agent takes to act on one observation of one env, deterministically; milliseconds, a median.

    :param model: that has been trained: it acts on what it saw last, again and again, from its memory of that
    """
    observation, state, seconds = _first(model._last_obs), None, []
    start = np.ones(1, dtype=bool)
    for _ in range(WARM_UP + STEPS):
        begun = time.perf_counter()
        _, state = model.predict(observation, state, episode_start=start, deterministic=True)
        seconds.append(time.perf_counter() - begun)
        start = np.zeros(1, dtype=bool)
    return 1e3 * median(seconds[WARM_UP:])


def peak_memory_mb() -> float | None:
    """Most memory that this process ever had, without that of its children; megabytes, None where nobody counts it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6, 1)


def _first(observation: Any) -> Any:
    """The first env's, still as a batch."""
    assert observation is not None
    if isinstance(observation, dict):
        return {key: value[:1] for key, value in observation.items()}
    return observation[:1]
