"""Returns of several steps on tapes of experience."""

from __future__ import annotations

import numpy as np

STEP, TERMINATED, CUT = 0, 1, 2  # what a frame is: an action was taken, or the episode had ended, by itself or by time


def returns_of(rewards: np.ndarray, kinds: np.ndarray, n_steps: int, gamma: float) -> tuple[np.ndarray, ...]:
    """Returns of up to ``n_steps`` steps, how many those were, and what the value behind them counts; each (B, L).

    :param rewards: (B, L)
    :param kinds: (B, L + 1) of the frames
    """
    B, L = rewards.shape
    returns, ahead = rewards.astype(np.float32), np.ones((B, L), np.int64)
    goes_on = np.ones((B, L), bool)
    for k in range(1, min(n_steps, L)):
        goes_on[:, L - k :] = False
        goes_on[:, : L - k] &= kinds[:, k:L] == STEP
        returns[:, : L - k] += goes_on[:, : L - k] * np.float32(gamma**k) * rewards[:, k:]
        ahead += goes_on
    last = np.take_along_axis(kinds, np.arange(L) + ahead, 1)
    discounts = (np.float32(gamma) ** ahead * (last != TERMINATED)).astype(np.float32)
    return returns, ahead, discounts
