"""The backbone: blocks by pattern, one state for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from jamba_rl.nn.attention import Attention
from jamba_rl.nn.check import check_input, check_memory, check_type, parts_of
from jamba_rl.nn.config import JambaConfig
from jamba_rl.nn.experts import MixtureOfExperts
from jamba_rl.nn.feedforward import FeedForward
from jamba_rl.nn.initialise import initialise
from jamba_rl.nn.mamba import Mamba
from jamba_rl.nn.mixer import Mixer, State
from jamba_rl.nn.norm import RMSNorm
from jamba_rl.nn.positions import LearnedPosition
from jamba_rl.nn.rnn import Recurrent
from jamba_rl.nn.router import Router, Routing, Routings
from jamba_rl.nn.simple_ssm import SimpleSSM
from jamba_rl.nn.ssm import LinearSSM

MIXER_CLASSES: dict[str, Callable[[JambaConfig], Mixer]] = {
    "M": Mamba,
    "A": Attention,
    "S": LinearSSM,
    "L": partial(Recurrent, nn.LSTM),
    "G": partial(Recurrent, nn.GRU),
    "P": SimpleSSM,
}
FEEDFORWARD_CLASSES: dict[str, Callable[[JambaConfig], nn.Module]] = {"D": FeedForward, "E": MixtureOfExperts}


@dataclass(frozen=True)
class JambaOutput:
    """What a backbone returns.

    :ivar hidden: (B, T, D), or (B, D) of a step
    :ivar state: the memory after it
    :ivar routing: how tokens went to experts: its ``loss()`` belongs to the training loss, its ``statistics()`` into
        a log; both cost nothing until they are asked for, and are zero and empty without experts
    """

    hidden: Tensor
    state: State
    routing: Routings


class Block(nn.Module):
    """One block: x + mixer(norm(x)), then x + feed-forward(norm(x)); either branch may be absent."""

    def __init__(self, mixer: str, ffn: str, config: JambaConfig) -> None:
        super().__init__()
        if mixer != "N":
            self.mixer = MIXER_CLASSES[mixer](config)
            self.mixer_norm = RMSNorm(config.d_model, config.norm_eps)
        if ffn != "-":
            self.ffn = FEEDFORWARD_CLASSES[ffn](config)
            self.ffn_norm = RMSNorm(config.d_model, config.norm_eps)
        self.dropout = config.dropout
        self.recompute = config.gradient_checkpointing

    def forward(
        self, x: Tensor, state: State | None, reset: Tensor | None, one_step: bool
    ) -> tuple[Tensor, State, Routing | None]:
        """Apply both branches to (B, T, D), or to (B, D) when ``one_step``."""
        run = _recomputed if self.recompute and self.training and torch.is_grad_enabled() else _called
        parts = self._modules  # attributes of a module take a search that costs as much as a small layer
        mixer, ffn, routing = parts.get("mixer"), parts.get("ffn"), None
        if mixer is not None:
            y, state = run(_mix, mixer, parts["mixer_norm"], x, state, reset, one_step)
            x = x + self._dropped(y)
        if isinstance(ffn, MixtureOfExperts):
            # The router stays outside of what is computed twice: a tie might fall the other way the second time.
            normed = self.ffn_norm(x)
            routing = ffn.router(normed)
            x = x + self._dropped(run(ffn.experts, normed, routing))
        elif ffn is not None:
            x = x + self._dropped(run(_feed_forward, ffn, parts["ffn_norm"], x))
        return x, state or (), routing

    def initial_state(self, batch: int) -> State:
        """Empty memory of the mixer; () where there is none."""
        return self.mixer.initial_state(batch) if "mixer" in self._modules else ()

    def _dropped(self, y: Tensor) -> Tensor:
        return F.dropout(y, self.dropout, self.training) if self.dropout else y


def _mix(
    mixer: Mixer, norm: nn.Module, x: Tensor, state: State, reset: Tensor | None, one_step: bool
) -> tuple[Tensor, State]:
    y, state = mixer.step(norm(x), state, reset) if one_step else mixer(norm(x), state, reset)
    return y, state


def _feed_forward(ffn: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = ffn(norm(x))
    return y


def _called(branch: Callable[..., Any], *args: Any) -> Any:
    return branch(*args)


def _recomputed(branch: Callable[..., Any], *args: Any) -> Any:
    return checkpoint(branch, *args, use_reentrant=False, preserve_rng_state=False)  # dropout is outside


class Jamba(nn.Module):
    """A stack of blocks and a final norm, itself with the interface of a mixer.

    Its state is one flat tuple: the age of the episode where positions are learned, then the states of the blocks,
    one after the other.

    >>> backbone = Jamba(JambaConfig(d_model=16, pattern="MA", window=8))
    >>> x, reset = torch.randn(2, 5, 16), torch.zeros(2, 5, dtype=torch.bool)
    >>> whole = backbone(x, reset=reset)
    >>> whole.hidden.shape
    torch.Size([2, 5, 16])
    >>> one = backbone.step(x[:, 0], backbone.initial_state(2))
    >>> torch.allclose(one.hidden, whole.hidden[:, 0], atol=1e-6)
    True
    """

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        check_type("config", config, JambaConfig)
        self.config = config
        self.position = LearnedPosition(config) if config.position == "learned" else None
        pairs = zip(config.pattern, config.ffn_pattern, strict=True)
        self.blocks = nn.ModuleList(Block(mixer, ffn, config) for mixer, ffn in pairs)
        self.norm = RMSNorm(config.d_model, config.norm_eps)
        initialise(self, config)
        self._sizes = [len(block.initial_state(0)) for block in self.blocks]  # type: ignore[operator]
        self._parts = parts_of(self.initial_state(0), config.memory_grows)

    def forward(self, x: Tensor, state: State | None = None, reset: Tensor | None = None) -> JambaOutput:
        """Run whole sequences.

        :param x: (B, T, D)
        :param state: memory to start from; None for empty
        :param reset: (B, T) bool, set at the first step of an episode; None for no resets
        :raises ValueError: shapes, types or devices do not fit, or x (on the CPU) is not finite
        """
        check_input(x, state, reset, self.norm.weight, steps=True, parts=self._parts)
        return self._run(x, state, reset, one_step=False)

    def step(self, x: Tensor, state: State | None, reset: Tensor | None = None) -> JambaOutput:
        """Run one step of (B, D) at constant cost; ``reset`` is (B,) bool; errors as of ``forward``."""
        check_input(x, state, reset, self.norm.weight, steps=False, parts=self._parts)
        return self._run(x, self.initial_state(len(x)) if state is None else state, reset, one_step=True)

    def check_memory(self, shape: tuple[int, ...], state: State | None, reset: Tensor | None) -> None:
        """Raise ValueError unless a memory and resets fit inputs of a shape, (B, T), or (B,) of a step."""
        check_memory(shape, state, reset, self.norm.weight, self._parts)

    def initial_state(self, batch: int) -> State:
        """Empty memory of ``batch`` sequences."""
        parts = [block.initial_state(batch) for block in self.blocks]  # type: ignore[operator]
        if self.position is not None:
            parts.insert(0, self.position.initial_state(batch))
        return tuple(tensor for part in parts for tensor in part)

    @torch.no_grad()
    def balance_experts(self, routing: Routings, mask: Tensor | None = None) -> None:
        """Move the routers' biases against the load they just saw; call it after an optimizer step.

        Only for ``balance: bias`` (Wang et al. 2024, arXiv 2408.15664); does nothing otherwise.

        :param mask: which tokens count, as of ``Routings``; None for all
        """
        if self.config.balance != "bias":
            return
        routers = [module for module in self.modules() if isinstance(module, Router)]
        for router, statistics in zip(routers, routing.statistics(mask), strict=True):
            router.rebalance(statistics.load, self.config.balance_coef)

    def _run(self, x: Tensor, state: State | None, reset: Tensor | None, one_step: bool) -> JambaOutput:
        after: list[Tensor] = []
        routings: list[Routing] = []
        start = 0
        if self.position is not None:
            place: Callable[..., tuple[Tensor, State]] = self.position.step if one_step else self.position
            x, (age,) = place(x, None if state is None else state[:1], reset)
            after.append(age)
            start = 1
        for block, size in zip(self._modules["blocks"]._modules.values(), self._sizes, strict=True):  # type: ignore[union-attr]
            before = None if state is None else state[start : start + size]
            x, block_state, routing = block(x, before, reset, one_step)
            after.extend(block_state)
            start += size
            if routing is not None:
                routings.append(routing)
        if torch.is_autocast_enabled(x.device.type):  # memory keeps its type, whatever the layers compute in
            kinds = self.initial_state(0) if state is None else state
            after = [new.to(old.dtype) for new, old in zip(after, kinds, strict=True)]
        return JambaOutput(self.norm(x), tuple(after), Routings(tuple(routings), self.config))
