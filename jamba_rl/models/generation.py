"""Writing on: token by token from a state, so that no token is read twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from jamba_rl.nn import State


class Prediction(Protocol):
    """Logits of the next token, and the memory of all before it."""

    @property
    def logits(self) -> Tensor: ...  # noqa: D102

    @property
    def state(self) -> State: ...  # noqa: D102


@torch.no_grad()
def write_on(
    read: Prediction,
    step: Callable[[Tensor, State], Prediction],
    choose: Callable[[Tensor], Tensor],
    count: int,
    stop: int | None = None,
) -> Tensor:
    """Return (B, N) tokens, N at most ``count``.

    :param read: what a model said of the prompt; its last logits are those of the first new token
    :param step: reads one token (B,)
    :param choose: a token (B,) for logits (B, V)
    :param stop: a row that has chosen it repeats it from then on; all rows having done so end the writing
    """
    tokens = [choose(read.logits[:, -1])]
    state = read.state
    done = torch.zeros_like(tokens[0], dtype=torch.bool)
    for _ in range(count - 1):
        if stop is not None:
            done = done | (tokens[-1] == stop)
            if bool(done.all()):
                break
        out = step(tokens[-1], state)
        state, token = out.state, choose(out.logits)
        tokens.append(token if stop is None else token.masked_fill(done, stop))
    return torch.stack(tokens, 1)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Do without dropout and jitter inside of the context; every layer then is in the mode it was in."""
    modes = [(layer, layer.training) for layer in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for layer, mode in modes:
            layer.training = mode
