"""What models accept, said once and clearly."""

from __future__ import annotations

import torch
from torch import Tensor

from jamba_rl.nn import State
from jamba_rl.nn.episodes import episode_starts, positions


def check_ids(ids: Tensor, dims: int, vocab_size: int) -> None:
    """Raise ValueError unless ``ids`` are tokens of the vocabulary, (B, T) or with one dimension (B,).

    Values are looked at on the CPU only: elsewhere that would make every call wait for the device.
    """
    if (
        not isinstance(ids, Tensor)
        or ids.dim() != dims
        or ids.dtype not in (torch.int64, torch.int32)
        or ids.numel() == 0
    ):
        shape = "(batch, time)" if dims == 2 else "(batch,)"
        given = f"{ids.dtype} {tuple(ids.shape)}" if isinstance(ids, Tensor) else type(ids).__name__
        raise ValueError(f"ids must be int64 {shape} and not empty; was {given}")
    if ids.is_cpu and (int(ids.min()) < 0 or int(ids.max()) >= vocab_size):
        raise ValueError(f"ids must be from 0 to {vocab_size - 1}; were from {int(ids.min())} to {int(ids.max())}")


def longest_text(steps: int, state: State | None, reset: Tensor | None) -> int:
    """Return the tokens of the longest text after ``steps`` more.

    What came before is known as far as the state counts it: where there is attention, or are learned positions.

    :param state: that fits, as ``Jamba.check_memory`` knows
    :param reset: (B, steps), or None
    """
    ages = [part for part in state or () if part.dtype is torch.int64]
    if ages:
        age = ages[0]
    elif reset is not None:
        age = torch.zeros(len(reset), dtype=torch.int64, device=reset.device)
    else:
        return steps
    return int(positions(episode_starts(age, reset, steps)).max()) + 1


def check_length(longest: int, max_length: int | None) -> None:
    """Raise ValueError if the longest text is longer than a model reads; None is no limit."""
    if max_length is not None and longest > max_length:
        raise ValueError(f"a text may have {max_length} tokens (max_length), this one has {longest}")
