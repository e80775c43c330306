"""How an observation has changed since the step before: what a position is to a velocity."""

from __future__ import annotations

import torch
from torch import Tensor

from jamba_rl.rl.derived import Derived


class Change(Derived):
    """Differences of successive features, in units of their own usual size.

    Between two steps of a simulator a position moves by a few percent of its range. The difference is all that tells
    of the velocity, and a network that has to find it finds it late and keeps it inexact: the direction is there, but
    with a hundredth of the variance. So it is taken and scaled before anything is learned.

    A step leaves its features and a one, which says that there was a step.

    :param size: number of features (F), and of changes
    """

    def __init__(self, size: int) -> None:
        super().__init__(size, width=size, left=size + 1)

    def raw(self, features: Tensor, before: Tensor) -> Tensor:
        """The difference, zero where there was no step before."""
        return (features - before[..., :-1]) * before[..., -1:]

    def known(self, before: Tensor) -> Tensor:
        """Where there was a step before."""
        return before[..., -1].sum()

    def leave(self, features: Tensor, before: Tensor) -> Tensor:
        """The features and a one."""
        return torch.cat([features, features.new_ones(*features.shape[:-1], 1)], -1)

    def before(self, features: Tensor, first: Tensor, resets: Tensor) -> Tensor:
        """What the step before left, for each step of windows."""
        earlier = torch.cat([first.unsqueeze(1), self.leave(features[:, :-1], first)], 1)
        return earlier.masked_fill(resets.unsqueeze(-1), 0.0)
