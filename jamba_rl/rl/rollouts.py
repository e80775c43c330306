"""Rollouts as windows of consecutive steps, never padded."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.type_aliases import RolloutBufferSamples

from jamba_rl.nn import State
from jamba_rl.rl.sequences import Sequences


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
        self.states: list[State] = []
        self._tensors: dict[str, Any] = {}

    def add_state(self, state: State) -> None:
        """Keep the memory before the next step if a window starts there."""
        if self.pos % self.sequence_length == 0:
            self.states.append(state)

    def get(self, batch_size: int | None = None) -> Generator[RolloutBufferSamples, None, None]:
        """Yield every window once, in minibatches of ``batch_size`` transitions."""
        assert self.full, "the rollout is not complete"
        if not self._tensors:
            self._tensors = self._to_windows()
        n_windows = self.buffer_size * self.n_envs // self.sequence_length
        per_batch = n_windows if batch_size is None else max(batch_size // self.sequence_length, 1)
        order = torch.randperm(n_windows).to(self.device)
        for index in order.split(per_batch):
            yield self._minibatch(index)

    def _to_windows(self) -> dict[str, Any]:
        """Everything on the device once per rollout, window after window: (windows, T, ...)."""
        names = ("actions", "values", "log_probs", "advantages", "returns")
        tensors: dict[str, Any] = {name: self._cut(getattr(self, name)) for name in names}
        tensors["resets"] = self._cut(self.episode_starts) > 0
        if isinstance(self.observations, dict):
            tensors["observations"] = {key: self._cut(value) for key, value in self.observations.items()}
        else:
            tensors["observations"] = self._cut(self.observations)
        # one state per (window of time, env), in the order of _cut
        tensors["state"] = tuple(torch.stack(parts).flatten(0, 1) for parts in zip(*self.states, strict=True))
        return tensors

    def _cut(self, array: np.ndarray) -> torch.Tensor:
        """(time, env, ...) to (windows, T, ...)."""
        shape = (-1, self.sequence_length, self.n_envs, *array.shape[2:])
        windows = np.ascontiguousarray(array.reshape(shape).swapaxes(1, 2))
        return self.to_torch(windows.reshape(-1, self.sequence_length, *array.shape[2:]), copy=False)

    def _minibatch(self, index: torch.Tensor) -> RolloutBufferSamples:
        tensors = self._tensors

        def flat(windows: torch.Tensor) -> torch.Tensor:
            return windows[index].flatten(0, 1)

        observations = tensors["observations"]
        sequences = Sequences(
            {key: flat(value) for key, value in observations.items()}
            if isinstance(observations, dict)
            else flat(observations),
            tensors["resets"][index],
            tuple(part[index] for part in tensors["state"]),
        )
        actions = flat(tensors["actions"]).to(torch.float32)
        rest = (flat(tensors[name]) for name in ("values", "log_probs", "advantages", "returns"))
        return RolloutBufferSamples(sequences, actions, *rest)  # type: ignore[arg-type]


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
