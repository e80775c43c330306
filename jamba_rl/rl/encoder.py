"""From what an agent sees to what its heads read: embedding, backbone, shortcut."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from gymnasium import spaces
from torch import Tensor, nn

from jamba_rl.nn import Jamba, JambaConfig, JambaOutput, State
from jamba_rl.nn.router import Routings


class Encoded(NamedTuple):
    """What an encoder returns."""

    latent: Tensor
    """(B, T, L), or (B, L) of a step."""
    state: State
    """The memory after it."""
    routing: Routings
    """How tokens went to experts."""


class Encoder(nn.Module):
    """Embeds observation features and the previous action, remembers, and adds the present again.

    latent = [backbone(embed([features, previous action])), features]: the shortcut spares the
    memory from carrying what can be seen anyway (Ni et al. 2022, arXiv 2110.05038).

    :param features_dim: width of the observation features (F)
    :param action_dim: width of the encoded previous action (A); 0 to leave it out
    :param config: the backbone
    :raises ValueError: its memory grows with the episode, so that no two states could be stored side by side
    """

    def __init__(self, features_dim: int, action_dim: int, config: JambaConfig) -> None:
        super().__init__()
        if config.memory_grows:
            raise ValueError("an agent's memory must not grow while it acts: give attention a window, such as 64")
        self.embed = nn.Linear(features_dim + action_dim, config.d_model)
        self.backbone = Jamba(config)
        self.latent_dim = config.d_model + features_dim

    def forward(self, features: Tensor, previous: Tensor, state: State, reset: Tensor | None) -> Encoded:
        """Encode sequences.

        :param features: (B, T, F)
        :param previous: (B, T, A) encoded action of the step before, zero at the start of an episode
        :param state: memory before the first step
        :param reset: (B, T) bool, set at the first step of an episode; None for no resets
        """
        return _encoded(self.backbone(self._embedded(features, previous), state, reset), features)

    def step(self, features: Tensor, previous: Tensor, state: State, reset: Tensor | None) -> Encoded:
        """Encode one step; arguments as in ``forward`` without time."""
        return _encoded(self.backbone.step(self._embedded(features, previous), state, reset), features)

    def initial_state(self, batch: int) -> State:
        """Empty memory of ``batch`` sequences."""
        return self.backbone.initial_state(batch)

    def _embedded(self, features: Tensor, previous: Tensor) -> Tensor:
        x: Tensor = self.embed(torch.cat([features, previous], -1))
        return x


def _encoded(out: JambaOutput, features: Tensor) -> Encoded:
    return Encoded(torch.cat([out.hidden, features], -1), out.state, out.routing)


class ActionEncoder(nn.Module):
    """The action as the next step sees it, about unit scale: what the env received, not what was sampled.

    Bounded Box: clipped to the bounds, scaled to [-1, 1]; unbounded Box: as it is; Discrete and
    MultiDiscrete: one-hot; MultiBinary: as it is.

    :param space: the action space
    :param squashed: the actions to encode are already in [-1, 1]
    """

    low: Tensor
    high: Tensor

    def __init__(self, space: spaces.Space, squashed: bool = False) -> None:
        super().__init__()
        self.choices: list[int] | None = None
        self.bounded = False
        if isinstance(space, spaces.Box):
            low, high = torch.as_tensor(space.low).flatten().float(), torch.as_tensor(space.high).flatten().float()
            self.bounded = not squashed and bool(torch.isfinite(low).all() and torch.isfinite(high).all())
            self.register_buffer("low", low, persistent=False)
            self.register_buffer("high", high, persistent=False)
        elif isinstance(space, spaces.Discrete):
            self.choices = [int(space.n)]
        elif isinstance(space, spaces.MultiDiscrete):
            self.choices = [int(n) for n in space.nvec.flatten()]
        self.dim = sum(self.choices) if self.choices else spaces.flatdim(space)

    def forward(self, actions: Tensor) -> Tensor:
        """Encode (..., action dimensions) to (..., dim)."""
        if self.choices is not None:
            actions = actions.long()
            return torch.cat([F.one_hot(actions[..., i], n) for i, n in enumerate(self.choices)], -1).float()
        if self.bounded:
            clipped = torch.minimum(torch.maximum(actions.float(), self.low), self.high)
            return (clipped - self.low) / (self.high - self.low) * 2.0 - 1.0
        return actions.float()
