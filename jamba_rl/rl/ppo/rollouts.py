"""Rollouts as windows of consecutive steps, never padded."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from torch import Tensor

from jamba_rl.nn import State
from jamba_rl.rl.sequences import Sequences

Tensors = Tensor | dict[str, Tensor] | tuple[Tensor, ...]
NUMBERS = ("values", "log_probs", "advantages", "returns")  # one per transition, in the order of RolloutBufferSamples


class SequenceRolloutBuffer(RolloutBuffer):
    """SB3's rollout buffer, read as windows ``[B, T]``.

    The rollout (time, env) is cut into equal windows of ``sequence_length`` steps; an episode may
    end inside one, which the window marks as a reset. The policy's memory is kept at window
    starts only. Minibatches are whole windows in random order.

    Arguments of SB3's buffer, and:

    :param sequence_length: steps per window (T), a divisor of ``buffer_size``
    """

    def __init__(self, *args: Any, sequence_length: int, **kwargs: Any) -> None:
        self.sequence_length = sequence_length
        super().__init__(*args, **kwargs)

    def reset(self) -> None:
        """Empty the buffer."""
        super().reset()
        self.previous: list[Tensor] = []
        self.states: list[State] = []
        self._tensors: dict[str, Tensors] = {}

    def add_state(self, state: State) -> None:
        """Keep what the policy remembers before the next step: the action, and the rest if a window starts there."""
        self.previous.append(state[0])
        if self.pos % self.sequence_length == 0:
            self.states.append(state[1:])

    def normalize_advantages(self, floor: float) -> None:
        """Bring advantages to mean 0, and to deviation 1 where they deviate by more than ``floor``, else to less."""
        self.advantages -= self.advantages.mean()
        self.advantages /= max(float(self.advantages.std()), floor)

    def get(self, batch_size: int | None = None) -> Generator[RolloutBufferSamples, None, None]:
        """Yield every window once, in minibatches of ``batch_size`` transitions."""
        windows = self._windows()
        n_windows = self.buffer_size * self.n_envs // self.sequence_length
        per_batch = n_windows if batch_size is None else max(batch_size // self.sequence_length, 1)
        order = torch.randperm(n_windows).to(self.device)
        # gathered once per epoch: minibatches are then parts of it
        shuffled = _pick(windows, order)
        for start in range(0, n_windows, per_batch):
            yield _minibatch(**_pick(shuffled, slice(start, start + per_batch)))

    def whole(self) -> RolloutBufferSamples:
        """The rollout as one minibatch, in order and without a copy."""
        return _minibatch(**self._windows())

    def _windows(self) -> dict[str, Any]:
        assert self.full, "the rollout is not complete"
        if not self._tensors:
            self._tensors = self._to_windows()
        return self._tensors

    def _to_windows(self) -> dict[str, Tensors]:
        """Everything on the device once per rollout, window after window: (windows, T, ...)."""
        tensors: dict[str, Tensors] = {name: self._cut(getattr(self, name)) for name in NUMBERS}
        tensors["actions"] = self._cut(self.actions).to(torch.float32)
        tensors["resets"] = resets = self._cut(self.episode_starts) > 0
        if isinstance(self.observations, dict):
            tensors["observations"] = {key: self._cut(value) for key, value in self.observations.items()}
        else:
            tensors["observations"] = self._cut(self.observations)
        previous = torch.stack(self.previous).unflatten(0, (-1, self.sequence_length)).transpose(1, 2).flatten(0, 1)
        tensors["previous"] = previous.masked_fill(resets.unsqueeze(-1), 0.0)
        # one state per (window of time, env), in the order of _cut
        tensors["state"] = tuple(torch.stack(parts).flatten(0, 1) for parts in zip(*self.states, strict=True))
        return tensors

    def _cut(self, array: np.ndarray) -> Tensor:
        """(time, env, ...) to (windows, T, ...)."""
        shape = (-1, self.sequence_length, self.n_envs, *array.shape[2:])
        windows = np.ascontiguousarray(array.reshape(shape).swapaxes(1, 2))
        return self.to_torch(windows.reshape(-1, self.sequence_length, *array.shape[2:]), copy=False)


def _pick(fields: dict[str, Tensors], index: Tensor | slice) -> dict[str, Any]:
    """Windows by number out of each tensor of each field."""
    return {name: _each(tensors, itemgetter(index)) for name, tensors in fields.items()}


def _each(tensors: Tensors, function: Callable[[Tensor], Tensor]) -> Any:
    """The same tuple, dict or tensor, of what the function returns."""
    if isinstance(tensors, Tensor):
        return function(tensors)
    if isinstance(tensors, dict):
        return {key: function(tensor) for key, tensor in tensors.items()}
    return tuple(map(function, tensors))


def _minibatch(
    observations: Tensors, previous: Tensor, resets: Tensor, state: State, actions: Tensor, **numbers: Tensor
) -> RolloutBufferSamples:
    flat = partial(torch.flatten, start_dim=0, end_dim=1)
    sequences = Sequences(_each(observations, flat), previous, resets, state)
    return RolloutBufferSamples(sequences, flat(actions), *(flat(numbers[name]) for name in NUMBERS))  # type: ignore[arg-type]


class SequenceDictRolloutBuffer(SequenceRolloutBuffer, DictRolloutBuffer):  # type: ignore[misc]
    """The same for dict observations."""


def buffer_class(space: spaces.Space, given: type[RolloutBuffer] | None) -> type[RolloutBuffer]:
    """Rollout buffer for a space of observations: as given, if it holds sequences.

    :raises ValueError: if it does not
    """
    suited = SequenceDictRolloutBuffer if isinstance(space, spaces.Dict) else SequenceRolloutBuffer
    if given is not None and not issubclass(given, suited):
        raise ValueError(f"rollout_buffer_class must be a {suited.__name__} or inherit from it, not {given.__name__}")
    return given or suited
