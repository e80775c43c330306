"""Where episodes begin inside a sequence, from resets and from the age of the memory before it.

Letters of the shape suffixes: B batch, T time, P steps remembered from before, S = P + T.
"""

from __future__ import annotations

import torch
from torch import Tensor


def episode_starts(age: Tensor, reset: Tensor | None, length: int) -> Tensor:
    """Return (B, T), for every step the time of the first step of its episode; negative where that was earlier.

    :param age: (B,) steps of the first step's episode before it
    :param reset: (B, T) bool, set at the first step of an episode; None for no resets
    :param length: T
    """
    start_BT = (-age)[:, None].expand(-1, length)
    if reset is None:
        return start_BT
    time_T = torch.arange(length, device=age.device)
    begun_BT = torch.where(reset, time_T, -1).cummax(1).values
    return torch.where(begun_BT >= 0, begun_BT, start_BT)


def positions(starts: Tensor) -> Tensor:
    """Return (B, T) steps since the start of the episode, 0 at its first."""
    return torch.arange(starts.shape[1], device=starts.device) - starts


def age_after(starts: Tensor) -> Tensor:
    """Return (B,) steps of the last step's episode, itself included: the age of the memory after it."""
    return starts.shape[1] - starts[:, -1]


def same_episode(starts: Tensor, remembered: int) -> Tensor:
    """Return bool (B, T, S): whether key s is not older than the episode of query t; keys of the future included.

    :param remembered: P, steps before the first one that are keys too
    """
    time_S = torch.arange(-remembered, starts.shape[1], device=starts.device)
    return time_S >= starts[:, :, None]
