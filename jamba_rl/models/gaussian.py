"""Actions of a continuous policy: a Gaussian about [-1, 1], scaled to what an env takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class ActionScale(nn.Module):
    """Maps [-1, 1] to the bounds of an action space and into its shape, clipping what is outside.

    What is clipped has no gradient: train on log-densities of unscaled actions, which have one everywhere.

    :param action_dim: A
    :param space: a gymnasium Box of A numbers in any shape, or anything with ``low`` and ``high``; None for [-1, 1]
    :raises ValueError: the space has no bounds, or other than A
    """

    low: Tensor
    high: Tensor

    def __init__(self, action_dim: int, space: Any = None) -> None:
        super().__init__()
        low, high = [-1.0] * action_dim, [1.0] * action_dim
        self.shape: tuple[int, ...] = (action_dim,)
        if space is not None:
            if not hasattr(space, "low") or not hasattr(space, "high"):
                raise ValueError(f"action_space must have low and high, as a Box has; was {space!r}")
            self.shape = np.shape(space.low)
            low, high = (np.ravel(bound).tolist() for bound in (space.low, space.high))
        if len(low) != action_dim:
            raise ValueError(f"action_space must have {action_dim} numbers (action_dim), has {len(low)}")
        if not all(-math.inf < least < most < math.inf for least, most in zip(low, high, strict=True)):
            raise ValueError(f"action_space must have finite bounds, low below high; has {low} and {high}")
        self.register_buffer("low", _single(low, math.inf))
        self.register_buffer("high", _single(high, -math.inf))

    def forward(self, action: Tensor) -> Tensor:
        """Map (..., A) to (..., *shape), where shape is that of the space, (A,) without one."""
        share = (action.clamp(-1, 1) + 1) / 2
        scaled = (1 - share) * self.low + share * self.high  # their difference may be infinite
        inside = scaled.clamp(self.low, self.high)  # however it was rounded
        return inside.reshape(*action.shape[:-1], *self.shape)


def _single(bounds: list[float], inwards: float) -> Tensor:
    """Round to float32, but never to outside of the bounds."""
    exact = torch.tensor(bounds, dtype=torch.float64)
    near = exact.float()
    outside = near < exact if inwards > 0 else near > exact
    return torch.where(outside, near.nextafter(torch.tensor(inwards)), near)


class Gaussian:
    """Independent normal variables, before they are clipped and scaled.

    :param mean: (..., A)
    :param log_std: (A,)
    """

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        self.mean = mean
        self._normal = torch.distributions.Normal(mean, log_std.exp().expand_as(mean), validate_args=False)

    def sample(self) -> Tensor:
        """Draw (..., A), without gradient."""
        return self._normal.sample()

    def log_prob(self, raw: Tensor) -> Tensor:
        """Log-density (...) of unscaled actions (..., A)."""
        return self._normal.log_prob(raw).sum(-1)

    def entropy(self) -> Tensor:
        """Nats, (...)."""
        return self._normal.entropy().sum(-1)
