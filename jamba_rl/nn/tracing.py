"""What happens inside of a backbone: what it attends to, what it forgets and remembers, which experts it asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jamba_rl.nn.attention import Attention
from jamba_rl.nn.jamba import Block
from jamba_rl.nn.mamba import Mamba
from jamba_rl.nn.mixer import State
from jamba_rl.nn.router import Routing


class _Call(NamedTuple):
    """What one call of a block did; fields as of ``BlockTrace``."""

    attention: Tensor | None
    decay: Tensor | None
    experts: Tensor | None
    state: State


@dataclass(frozen=True)
class BlockTrace:
    """What one block did in all traced calls, one after the other in time; detached.

    Calls follow each other like chunks of a sequence, or steps: they are joined along T. What the block has no layer
    for is None, and so is everything before its first call.
    """

    _calls: list[_Call] = field(default_factory=list, repr=False)

    @property
    def attention(self) -> Tensor | None:
        """(B, T, H, L): how each head spreads its attention over the step itself, the one before, ... L - 1 before.

        L is the window, or without one the age of the oldest episode.
        """
        return _joined([call.attention for call in self._calls])

    @property
    def decay(self) -> Tensor | None:
        """(B, T, E, N): how much each state of Mamba keeps of itself at each step, 0 where an episode begins.

        What is written into a state is down to 1/e after -1 / log(decay) steps.
        """
        return _joined([call.decay for call in self._calls])

    @property
    def experts(self) -> Tensor | None:
        """(B, T, X): the weight of every expert in the output; 0 for those that were not asked."""
        return _joined([call.experts for call in self._calls])

    @property
    def states(self) -> tuple[State, ...]:
        """The memory of the block's mixer after every call."""
        return tuple(call.state for call in self._calls)


@contextmanager
def trace(module: nn.Module) -> Iterator[tuple[BlockTrace, ...]]:
    """Look inside while a model runs, whole sequences or step by step.

    :param module: a backbone, or what holds one or more, such as the policy of an agent or a language model
    :return: in a ``with`` statement, a trace for every block, first to last, which every call adds to until it ends
    :raises ValueError: there is no block in it

    >>> from jamba_rl.nn import Jamba, JambaConfig
    >>> backbone = Jamba(JambaConfig(d_model=16, pattern="MA", ffn_pattern="-E", window=8))
    >>> with trace(backbone) as (mamba, attention):
    ...     state = None
    ...     for x in torch.randn(5, 3, 16):
    ...         state = backbone.step(x, state).state
    >>> mamba.decay.shape, attention.attention.shape, attention.experts.shape
    (torch.Size([3, 5, 32, 16]), torch.Size([3, 5, 4, 8]), torch.Size([3, 5, 8]))
    """
    blocks = [part for part in module.modules() if isinstance(part, Block)] if isinstance(module, nn.Module) else []
    if not blocks:
        raise ValueError(
            f"only a torch module with a Jamba inside can be traced, such as model.policy; was {type(module).__name__}"
        )
    traces = tuple(BlockTrace() for _ in blocks)
    hooks = [
        block.register_forward_hook(lambda *call, seen=seen: seen._calls.append(_look(*call)))
        for block, seen in zip(blocks, traces, strict=True)
    ]
    try:
        yield traces
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def _look(block: Block, inputs: tuple[Any, ...], outputs: tuple[Tensor, State, Routing | None]) -> _Call:
    """Compute again what the kernels keep to themselves."""
    x, state, reset, one_step = inputs
    if one_step:
        x, reset = x[:, None], None if reset is None else reset[:, None]
    mixer, (_, after, routing) = block._modules.get("mixer"), outputs
    attention = decay = experts = None
    if isinstance(mixer, Attention):
        attention = mixer.weights(block.mixer_norm(x), state, reset)
    elif isinstance(mixer, Mamba):
        decay = mixer.decay(block.mixer_norm(x), state, reset)
    if routing is not None:
        weights = torch.zeros_like(routing.logits).scatter(1, routing.experts, routing.weights.to(routing.logits.dtype))
        experts = weights.view(*x.shape[:2], -1)
    return _Call(attention, decay, experts, tuple(part.detach() for part in after))


def _joined(parts: list[Tensor | None]) -> Tensor | None:
    """Along time; where one call looks back further than another, the other has no weight there."""
    there = [part for part in parts if part is not None]
    longest = max((part.shape[-1] for part in there), default=0)
    return torch.cat([F.pad(part, (0, longest - part.shape[-1])) for part in there], 1) if there else None
