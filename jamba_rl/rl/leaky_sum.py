"""What observations have summed up to: what a velocity is to a position."""

from __future__ import annotations

import torch
from torch import Tensor

from jamba_rl.rl.derived import Derived

DECAY = 0.99  # a hundred steps back, as far as a discount of 0.99 looks ahead


class LeakySum(Derived):
    """Leaky sums of the features and of a one over the episode, in units of their own usual size.

    sum_t = decay * sum_(t-1) + [features_t, 1]

    The sum of velocities is a position, and the sum of ones says how long it has been summed. A layer of slow states
    could find both, from gradients that reach no further than a window; here they are from the first update on what
    they will be after the last. Known as memory trace (Eberhard et al. 2025, arXiv 2503.15200); beside the change it
    is the integral of a PID controller (Char & Schneider 2023, arXiv 2307.05891).

    :param size: number of features (F); there are F + 1 sums, which a step leaves for the next
    :param decay: what is left of a sum after a step
    """

    def __init__(self, size: int, decay: float = DECAY) -> None:
        super().__init__(size, width=size + 1, left=size + 1)
        self.decay = decay

    def raw(self, features: Tensor, before: Tensor) -> Tensor:
        """The sums."""
        return self.decay * before + _with_one(features)

    def known(self, before: Tensor) -> Tensor:
        """Everywhere."""
        return torch.tensor(before.shape[:-1].numel())

    def leave(self, features: Tensor, before: Tensor) -> Tensor:
        """The sums."""
        return self.raw(features, before)

    def before(self, features: Tensor, first: Tensor, resets: Tensor) -> Tensor:
        """What the step before left, for each step of windows.

        All steps at once: before_t is the sum of decay ** (t - 1 - k) [features_k, 1] over the earlier steps k of the
        same episode.
        """
        T = features.shape[1]
        steps = torch.arange(T, device=features.device)
        ages = steps.unsqueeze(1) - 1 - steps
        weights = torch.where(ages >= 0, self.decay ** ages.to(features.dtype), 0.0)
        episode = torch.cumsum(resets, 1)
        same = episode.unsqueeze(2) == episode.unsqueeze(1)
        earlier = (weights * same) @ _with_one(features)
        started_before = (episode == 0).unsqueeze(-1) * self.decay ** steps.to(features.dtype).unsqueeze(-1)
        return earlier + started_before * first.unsqueeze(1)


def _with_one(features: Tensor) -> Tensor:
    return torch.cat([features, features.new_ones(*features.shape[:-1], 1)], -1)
