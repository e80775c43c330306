"""How an observation has changed since the step before: what a position is to a velocity."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LIMIT = 10.0  # as far as SB3's VecNormalize lets an observation go
EPSILON = 1e-8


class Change(nn.Module):
    """Differences of successive features, in units of their own usual size.

    Between two steps of a simulator a position moves by a few percent of its range. The difference is all that tells
    of the velocity, and a network that has to find it finds it late and keeps it inexact: the direction is there, but
    with a hundredth of the variance. So it is taken and scaled before anything is learned.

    The usual size is the root of the mean square over all of training; ``update`` moves it, and nothing else does.

    :param size: number of features (F)
    """

    mean_square: Tensor
    count: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean_square", torch.ones(size))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, features: Tensor, before: Tensor) -> Tensor:
        """Return ``features`` (..., F) followed by their scaled change: (..., 2F).

        :param before: (..., F + 1) what ``remember`` made of the step before; all zero if there was none
        """
        change = self._raw(features, before) * torch.rsqrt(self.mean_square + EPSILON)
        return torch.cat([features, change.clamp(-LIMIT, LIMIT)], -1)

    def remember(self, features: Tensor) -> Tensor:
        """What the next step has to know of ``features`` (..., F): them, and a one to say so."""
        return torch.cat([features, features.new_ones(*features.shape[:-1], 1)], -1)

    def before(self, features: Tensor, first: Tensor, resets: Tensor) -> Tensor:
        """What the step before left, for each step of windows.

        :param features: (B, T, F)
        :param first: (B, F + 1), of the step before the window
        :param resets: (B, T) bool, where there was no step before
        """
        earlier = torch.cat([first.unsqueeze(1), self.remember(features[:, :-1])], 1)
        return earlier.masked_fill(resets.unsqueeze(-1), 0.0)

    @torch.no_grad()
    def update(self, features: Tensor, before: Tensor) -> None:
        """Move the usual size by more steps; arguments as of ``forward``."""
        changes = self._raw(features, before).flatten(0, -2)
        steps = before[..., -1].sum().double()
        if steps > 0:
            self.count += steps
            mean_square = changes.square().sum(0) / steps.float()
            self.mean_square += (mean_square - self.mean_square) * (steps / self.count).float()

    def _raw(self, features: Tensor, before: Tensor) -> Tensor:
        return (features - before[..., :-1]) * before[..., -1:]
