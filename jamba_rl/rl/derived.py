"""What is derived from successive features before anything is learned, in units of its own usual size."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

LIMIT = 10.0  # as far as SB3's VecNormalize lets an observation go
EPSILON = 1e-8


class Derived(nn.Module, ABC):
    """A quantity made of the features of a step and of what the steps before left, scaled to unit size.

    The usual size is the root of the mean square over all of training; ``update`` moves it, and nothing else does.

    :param size: number of features (F)
    :param width: numbers of the quantity (D)
    :param left: numbers that a step leaves for the next (S); all zero if there was no step before
    """

    mean_square: Tensor
    count: Tensor

    def __init__(self, size: int, width: int, left: int) -> None:
        super().__init__()
        self.size, self.width, self.left = size, width, left
        self.register_buffer("mean_square", torch.ones(width))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, features: Tensor, before: Tensor) -> Tensor:
        """The quantity, (..., D).

        :param features: (..., F)
        :param before: (..., S), what the step before left
        """
        return (self.raw(features, before) * torch.rsqrt(self.mean_square + EPSILON)).clamp(-LIMIT, LIMIT)

    @abstractmethod
    def raw(self, features: Tensor, before: Tensor) -> Tensor:
        """The quantity in units of the features, zero where it is not known; arguments as of ``forward``."""

    @abstractmethod
    def known(self, before: Tensor) -> Tensor:
        """At how many of the steps it is known."""

    @abstractmethod
    def leave(self, features: Tensor, before: Tensor) -> Tensor:
        """What this step leaves for the next, (..., S); arguments as of ``forward``."""

    @abstractmethod
    def before(self, features: Tensor, first: Tensor, resets: Tensor) -> Tensor:
        """What the step before left, for each step of windows: (B, T, S).

        :param features: (B, T, F)
        :param first: (B, S), of the step before the window
        :param resets: (B, T) bool, where there was no step before
        """

    @torch.no_grad()
    def update(self, features: Tensor, before: Tensor) -> None:
        """Move the usual size by more steps; arguments as of ``forward``."""
        steps = self.known(before).double()
        if steps > 0:
            self.count += steps
            mean_square = self.raw(features, before).flatten(0, -2).square().sum(0) / steps.float()
            self.mean_square += (mean_square - self.mean_square) * (steps / self.count).float()
