"""What every mixer is: a causal map over time whose memory is passed in and returned."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

State = tuple[Tensor, ...]
"""Memory of a mixer, or of a stack of them: batch-first tensors, empty where nothing is remembered."""


class Mixer(nn.Module, ABC):
    """Mixes features over time, from a state to a state.

    ``reset[b, t]`` marks the *first* step of a new episode: what came before is forgotten there.
    Gradient flows into the incoming state. ``step`` repeated over time equals ``forward``. What a
    mixer computes leaves it through a linear layer named ``out_proj``.
    """

    @abstractmethod
    def forward(self, x: Tensor, state: State | None, reset: Tensor | None = None) -> tuple[Tensor, State]:
        """Mix whole sequences, in parallel over time where the mixer can.

        :param x: (B, T, D)
        :param state: of ``initial_state(B)``, or what an earlier call returned; None for an empty one
        :param reset: (B, T) bool, None for no resets
        :return: y (B, T, D) and the state after the last step
        """

    @abstractmethod
    def step(self, x: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:
        """Mix one step at constant cost.

        :param x: (B, D)
        :param state: as in ``forward``
        :param reset: (B,) bool, None for no resets
        :return: y (B, D) and the next state
        """

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """Empty memory of ``batch`` sequences."""


def keep(tensor: Tensor, reset: Tensor | None) -> Tensor:
    """Zero the rows of ``tensor`` (B, ...) where ``reset`` (B,) is set."""
    if reset is None:
        return tensor
    return tensor.masked_fill(reset.view(-1, *[1] * (tensor.dim() - 1)), 0.0)
