"""What passes between rollouts and policies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor

from jamba_rl.nn import State


class Sequences(NamedTuple):
    """Windows of experience as a policy reads them, B windows of T steps."""

    observations: PyTorchObs
    """(B * T, ...), window after window."""
    previous: Tensor
    """(B, T, A), the encoded action before each step; zero at the first step of an episode."""
    resets: Tensor
    """(B, T) bool, set at the first step of an episode."""
    state: State
    """What the backbones remember before the first step of each window."""


def to_tensors(state: tuple[np.ndarray, ...] | State, device: torch.device) -> State:
    """A memory of numpy arrays as tensors."""
    return tuple(torch.as_tensor(array, device=device) for array in state)


def to_arrays(state: State) -> tuple[np.ndarray, ...]:
    """A memory of tensors as numpy arrays."""
    return tuple(tensor.cpu().numpy() for tensor in state)


def count_rows(obs: PyTorchObs) -> int:
    """Return the number of observations in a batch of them."""
    return len(next(iter(obs.values())) if isinstance(obs, dict) else obs)
