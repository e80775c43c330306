"""The backbone: blocks by pattern, one state for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from jamba_rl.nn.attention import Attention
from jamba_rl.nn.config import JambaConfig
from jamba_rl.nn.feedforward import SwiGLU
from jamba_rl.nn.mamba import Mamba
from jamba_rl.nn.mixer import Mixer, State
from jamba_rl.nn.norm import RMSNorm
from jamba_rl.nn.rnn import Recurrent
from jamba_rl.nn.ssm import LinearSSM

MIXER_CLASSES: dict[str, Callable[[JambaConfig], Mixer]] = {
    "M": Mamba,
    "A": Attention,
    "S": LinearSSM,
    "L": partial(Recurrent, nn.LSTM),
    "G": partial(Recurrent, nn.GRU),
}


@dataclass(frozen=True)
class JambaOutput:
    """What a backbone returns: hidden (B, T, D), or (B, D) of a step, and the state after it."""

    hidden: Tensor
    state: State


class Block(nn.Module):
    """One block: x + mixer(norm(x)), then x + feed-forward(norm(x)); either branch may be absent."""

    def __init__(self, mixer: str, ffn: str, config: JambaConfig) -> None:
        super().__init__()
        self.mixer: Mixer | None = MIXER_CLASSES[mixer](config) if mixer != "N" else None
        self.mixer_norm = RMSNorm(config.d_model, config.norm_eps) if self.mixer is not None else None
        self.ffn = SwiGLU(config) if ffn == "D" else None
        self.ffn_norm = RMSNorm(config.d_model, config.norm_eps) if self.ffn is not None else None

    def forward(self, x: Tensor, state: State, reset: Tensor | None, one_step: bool) -> tuple[Tensor, State]:
        """Apply both branches to (B, T, D), or to (B, D) when ``one_step``."""
        if self.mixer is not None and self.mixer_norm is not None:
            mix = self.mixer.step if one_step else self.mixer
            y, state = mix(self.mixer_norm(x), state, reset)
            x = x + y
        if self.ffn is not None and self.ffn_norm is not None:
            x = x + self.ffn(self.ffn_norm(x))
        return x, state

    def initial_state(self, batch: int) -> State:
        """Empty memory of the mixer; () where there is none."""
        return self.mixer.initial_state(batch) if self.mixer is not None else ()


class Jamba(nn.Module):
    """A stack of blocks and a final norm, itself with the interface of a mixer.

    Its state is one flat tuple: the states of the blocks, one after the other.

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
        self.config = config
        pairs = zip(config.pattern, config.ffn_pattern, strict=True)
        self.blocks = nn.ModuleList(Block(mixer, ffn, config) for mixer, ffn in pairs)
        self.norm = RMSNorm(config.d_model, config.norm_eps)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.endswith("out_proj.weight"):
                    parameter.mul_(config.branch_scale)
        self._sizes = [len(block.initial_state(0)) for block in self.blocks]  # type: ignore[operator]

    def forward(self, x: Tensor, state: State | None = None, reset: Tensor | None = None) -> JambaOutput:
        """Run whole sequences.

        :param x: (B, T, D)
        :param state: memory to start from; None for empty
        :param reset: (B, T) bool, set at the first step of an episode; None for no resets
        """
        return self._run(x, self.initial_state(len(x)) if state is None else state, reset, one_step=False)

    def step(self, x: Tensor, state: State, reset: Tensor | None = None) -> JambaOutput:
        """Run one step of (B, D) at constant cost; ``reset`` is (B,) bool."""
        return self._run(x, state, reset, one_step=True)

    def initial_state(self, batch: int) -> State:
        """Empty memory of ``batch`` sequences."""
        return tuple(tensor for block in self.blocks for tensor in block.initial_state(batch))  # type: ignore[operator]

    def _run(self, x: Tensor, state: State, reset: Tensor | None, one_step: bool) -> JambaOutput:
        after: list[Tensor] = []
        start = 0
        for block, size in zip(self.blocks, self._sizes, strict=True):
            x, block_state = block(x, state[start : start + size], reset, one_step)
            after.extend(block_state)
            start += size
        return JambaOutput(self.norm(x), tuple(after))
