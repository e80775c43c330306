"""Bytes of a real text that comes with Python: its own language reference, as ``help()`` shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pydoc_data.topics import topics

import torch
from torch import Tensor

VOCABULARY = 256  # bytes


def python_help() -> tuple[Tensor, Tensor]:
    """Return the first nine tenths and the last tenth of all help topics, sorted by name: uint8 (N,) each."""
    text = "\n".join(topics[name] for name in sorted(topics)).encode()
    tokens = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    cut = len(tokens) * 9 // 10
    return tokens[:cut], tokens[cut:]


def random_batches(tokens: Tensor, batch: int, length: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield int64 (batch, length + 1) pieces from anywhere, forever."""
    while True:
        starts_B1 = torch.randint(len(tokens) - length, (batch, 1), generator=generator)
        yield tokens[starts_B1 + torch.arange(length + 1)].long()
