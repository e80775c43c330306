"""From what an agent sees to what its heads read: embedding, backbone, shortcut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from gymnasium import spaces
from torch import Tensor, nn

from jamba_rl.nn import Jamba, JambaConfig, State
from jamba_rl.nn.mixer import keep
from jamba_rl.nn.router import Routings
from jamba_rl.rl.change import Change
from jamba_rl.rl.derived import Derived
from jamba_rl.rl.frames import FrameStack
from jamba_rl.rl.leaky_sum import LeakySum


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
    memory from carrying what can be seen anyway (Ni et al. 2022, arXiv 2110.05038). The features may come with
    their change since the step before, and with their leaky sum over the episode.

    Its state is that of the backbone, after what ``Change``, ``LeakySum`` and ``FrameStack`` leave, if they are there.

    :param features_dim: width of the observation features (F)
    :param action_dim: width of the encoded previous action (A); 0 to leave it out
    :param config: the backbone
    :param change: whether it also sees how the features have changed
    :param leaky_sum: whether it also sees what the features have summed up to
    :param frames: how many of what it sees it sees at once
    :raises ValueError: its memory grows with the episode, so that no two states could be stored side by side
    """

    def __init__(
        self,
        features_dim: int,
        action_dim: int,
        config: JambaConfig,
        change: bool = False,
        leaky_sum: bool = False,
        frames: int = 1,
    ) -> None:
        super().__init__()
        if config.memory_grows:
            raise ValueError("an agent's memory must not grow while it acts: give attention a window, such as 64")
        self.change = Change(features_dim) if change else None
        self.leaky_sum = LeakySum(features_dim) if leaky_sum else None
        seen = features_dim + sum(each.width for each in self._derived)
        self.stack = FrameStack(seen, frames) if frames > 1 else None
        seen *= frames
        self.embed = nn.Linear(seen + action_dim, config.d_model)
        self.backbone = Jamba(config)
        self.latent_dim = config.d_model + seen

    def forward(self, features: Tensor, previous: Tensor, state: State, reset: Tensor | None) -> Encoded:
        """Encode sequences.

        :param features: (B, T, F)
        :param previous: (B, T, A) encoded action of the step before, zero at the start of an episode
        :param state: memory before the first step
        :param reset: (B, T) bool, set at the first step of an episode; None for no resets
        """
        seen, own, state = self._see(features, state, reset)
        return self._encode(seen, previous, state, own, reset)

    def step(self, features: Tensor, previous: Tensor, state: State, reset: Tensor | None) -> Encoded:
        """Encode one step; arguments as in ``forward`` without time."""
        befores = [keep(part, reset) for part, _ in zip(state, self._derived, strict=False)]
        seen, own = self._beside(features, befores), self._leave(features, befores)
        state = state[len(own) :]
        if self.stack is not None:
            seen, after = self.stack.step(seen, state[0], reset)
            own, state = (*own, after), state[1:]
        return self._encode(seen, previous, state, own, reset)

    def look_back(self, features: Tensor, reset: Tensor) -> State:
        """What is seen beside the next frame, of the ``context`` frames before it: the first part of the state.

        :param features: (B, context, F)
        :param reset: (B, context) bool
        """
        return self._see(features, self._own_state(len(features)), reset)[1]

    def observe(self, features: Tensor, state: State, reset: Tensor) -> None:
        """Learn from sequences how large what is derived from features usually is; arguments as of ``forward``."""
        for each, first in zip(self._derived, state, strict=False):
            each.update(features, each.before(features, first, reset))

    @property
    def context(self) -> int:
        """How many frames before the present one are seen beside it, if not all, in a sum."""
        return (self.change is not None) + (0 if self.stack is None else self.stack.frames - 1)

    @property
    def own_parts(self) -> int:
        """How many parts of the state come before those of the backbone."""
        return len(self._derived) + (self.stack is not None)

    @property
    def derives(self) -> bool:
        """Whether it sees what is derived from features, of which the usual size is to be learned."""
        return bool(self._derived)

    def initial_state(self, batch: int) -> State:
        """Empty memory of ``batch`` sequences."""
        return (*self._own_state(batch), *self.backbone.initial_state(batch))

    @property
    def _derived(self) -> list[Derived]:
        return [each for each in (self.change, self.leaky_sum) if each is not None]

    def _beside(self, features: Tensor, befores: Sequence[Tensor]) -> Tensor:
        """Features, and what is derived from them and what the steps before left."""
        return torch.cat([features, *(each(features, b) for each, b in zip(self._derived, befores, strict=True))], -1)

    def _leave(self, features: Tensor, befores: Sequence[Tensor]) -> State:
        """What a step leaves for the next."""
        return tuple(each.leave(features, b) for each, b in zip(self._derived, befores, strict=True))

    def _own_state(self, batch: int) -> State:
        state: State = tuple(self.embed.weight.new_zeros(batch, each.left) for each in self._derived)
        if self.stack is not None:
            state += (self.stack.initial_state(batch, self.embed.weight),)
        return state

    def _see(self, features: Tensor, state: State, reset: Tensor | None) -> tuple[Tensor, State, State]:
        """Features of sequences with what is seen beside them, the first parts of the state after them, the rest."""
        resets = features.new_zeros(features.shape[:2], dtype=torch.bool) if reset is None else reset
        befores = [each.before(features, first, resets) for each, first in zip(self._derived, state, strict=False)]
        seen = self._beside(features, befores)
        own = self._leave(features[:, -1], [before[:, -1] for before in befores])
        state = state[len(own) :]
        if self.stack is not None:
            seen, after = self.stack(seen, state[0], resets)
            own, state = (*own, after), state[1:]
        return seen, own, state

    def _encode(self, seen: Tensor, previous: Tensor, state: State, own: State, reset: Tensor | None) -> Encoded:
        """Run the backbone.

        :param seen: features, and what is seen beside them
        :param state: of the backbone
        :param own: what the encoder itself remembers after these steps
        """
        run = self.backbone if seen.dim() == 3 else self.backbone.step
        out = run(self.embed(torch.cat([seen, previous], -1)), state, reset)
        return Encoded(torch.cat([out.hidden, seen], -1), (*own, *out.state), out.routing)


class ActionEncoder(nn.Module):
    """The action as the next step sees it, about unit scale: what the env received, not what was sampled.

    Bounded Box: clipped to the bounds, scaled to [-1, 1]; unbounded Box: as it is; Discrete and
    MultiDiscrete: one-hot; MultiBinary: as it is.

    :param space: the action space
    :param squashed: the actions to encode are already in [-1, 1]
    """

    low: Tensor
    high: Tensor
    range: Tensor

    def __init__(self, space: spaces.Space, squashed: bool = False) -> None:
        super().__init__()
        self.choices: list[int] | None = None
        self.bounded = False
        if isinstance(space, spaces.Box):
            low, high = torch.as_tensor(space.low).flatten().float(), torch.as_tensor(space.high).flatten().float()
            self.bounded = not squashed and bool(torch.isfinite(low).all() and torch.isfinite(high).all())
            self.register_buffer("low", low, persistent=False)
            self.register_buffer("high", high, persistent=False)
            # what cannot be chosen is -1 throughout
            self.register_buffer("range", torch.where(high > low, high - low, torch.ones(())), persistent=False)
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
            return (clipped - self.low) / self.range * 2.0 - 1.0
        return actions.float()
