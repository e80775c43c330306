"""Which token comes next: one of the likeliest, by chance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jamba_rl.nn.check import check_count

COLDEST = torch.finfo(torch.float32).tiny  # what is below it divides by zero


@dataclass(frozen=True)
class Sampler:
    """Draws from softmax(logits / temperature), cut to the likeliest tokens and scaled up again.

    :param temperature: below 1 prefers the likely, 0 takes the likeliest
    :param top_k: how many of the likeliest tokens may come, no more of equal ones either; None for all
    :param top_p: only the fewest tokens whose probabilities reach this sum, after ``top_k`` (nucleus sampling, Holtzman
        et al. 2020, arXiv 1904.09751); None for all
    :raises ValueError: a value is out of range

    >>> Sampler(temperature=0)(torch.tensor([[0.1, 2.0, 0.3]]))
    tensor([1])
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not _is_number(self.temperature) or not (self.temperature == 0 or COLDEST <= self.temperature < torch.inf):
            raise ValueError(f"temperature must be 0, or {COLDEST:.0e} and above; was {self.temperature!r}")
        if self.top_k is not None:
            check_count("top_k", self.top_k)
        if self.top_p is not None and not (_is_number(self.top_p) and 0 < self.top_p <= 1):
            raise ValueError(f"top_p must be above 0 and at most 1, or None; was {self.top_p!r}")

    def __call__(self, logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a token (B,) for logits (B, V)."""
        if self.temperature == 0 or self.top_k == 1:
            return logits.argmax(-1)
        # The logits less their maximum: else a small temperature overflows.
        scaled = (logits - logits.amax(-1, keepdim=True)).float() / self.temperature
        if self.top_k is not None and self.top_k < scaled.shape[-1]:
            top = scaled.topk(self.top_k)
            scaled = torch.full_like(scaled, -torch.inf).scatter(-1, top.indices, top.values)
        probabilities = scaled.softmax(-1)
        if self.top_p is not None and self.top_p < 1:
            probabilities = _nucleus(probabilities, self.top_p)
        return torch.multinomial(probabilities, 1, generator=generator).squeeze(-1)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Zero what comes after the sum of the likelier ones has reached ``top_p``; (B, V)."""
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    likelier = ordered.cumsum(-1) - ordered
    return probabilities.masked_fill((likelier >= top_p).gather(-1, order.argsort(-1)), 0.0)
