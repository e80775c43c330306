"""The one configuration of a backbone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from difflib import get_close_matches

MIXERS = {"M": "Mamba", "A": "attention", "S": "linear SSM", "L": "LSTM", "G": "GRU", "N": "none"}
FEEDFORWARDS = {"D": "dense SwiGLU", "-": "none"}
POSITIONS = ("relative", "none")


@dataclass(frozen=True)
class JambaConfig:
    """Everything that shapes a backbone; frozen, checked when made.

    A backbone is a stack of blocks. Block i mixes over time with the mixer that ``pattern[i]``
    names, then over features with the feed-forward that ``ffn_pattern[i]`` names; both are
    pre-norm residual branches.

    :param d_model: width of the residual stream
    :param pattern: one letter per block: M Mamba, A attention, S linear SSM, L LSTM, G GRU, N none
    :param ffn_pattern: D (dense SwiGLU) or - (none), repeated to the length of ``pattern``
    :param num_layers: number of blocks; ``pattern`` is repeated to it (default: its own length)
    :param d_state: states per Mamba channel (N)
    :param d_conv: taps of Mamba's causal convolution (W)
    :param expand: Mamba's inner width is ``expand * d_model`` (E)
    :param dt_rank: rank of Mamba's time-step projection (R); default ceil(d_model / 16)
    :param dt_min: shortest initial time step of M and S; a channel first remembers about 1/dt steps
    :param dt_max: longest initial time step of M and S
    :param num_heads: attention heads; divides ``d_model``
    :param window: steps that attention sees, the current one included
    :param position: ``relative`` (a learned bias per head and lag) or ``none``
    :param d_hidden: units of L and G, states of S; default ``d_model``
    :param ffn_mult: hidden width of the feed-forward in units of ``d_model``
    :param norm_eps: epsilon of every RMSNorm
    :param branch_scale: factor on the output projection of every branch at the start; a small one
        lets a stack begin near the identity, and an agent with memory as one without
    :raises ValueError: says what was given and what is allowed

    >>> JambaConfig(pattern="MMMA", num_layers=8).pattern
    'MMMAMMMA'
    >>> JambaConfig(pattern="MXA")
    Traceback (most recent call last):
        ...
    ValueError: pattern 'MXA': letter 'X' is unknown; allowed are M, A, S, L, G, N
    """

    d_model: int = 64
    pattern: str = "MA"
    ffn_pattern: str = "-"
    num_layers: int | None = None
    d_state: int = 16
    d_conv: int = 4
    expand: int = 2
    dt_rank: int | None = None
    dt_min: float = 1e-3
    dt_max: float = 0.1
    num_heads: int = 4
    window: int = 64
    position: str = "relative"
    d_hidden: int | None = None
    ffn_mult: float = 2.0
    norm_eps: float = 1e-6
    branch_scale: float = 0.1
    d_inner: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        derive = object.__setattr__  # frozen for everyone else
        pattern = _letters("pattern", self.pattern, MIXERS)
        depth = self.num_layers if self.num_layers is not None else len(pattern)
        _positive("num_layers", depth)
        derive(self, "num_layers", depth)
        derive(self, "pattern", _repeat(pattern, depth))
        derive(self, "ffn_pattern", _repeat(_letters("ffn_pattern", self.ffn_pattern, FEEDFORWARDS), depth))
        for name in (
            "d_model",
            "d_state",
            "d_conv",
            "expand",
            "num_heads",
            "window",
            "ffn_mult",
            "norm_eps",
            "dt_min",
            "branch_scale",
        ):
            _positive(name, getattr(self, name))
        if self.dt_rank is None:
            derive(self, "dt_rank", math.ceil(self.d_model / 16))
        if self.d_hidden is None:
            derive(self, "d_hidden", self.d_model)
        _positive("dt_rank", self.dt_rank)
        _positive("d_hidden", self.d_hidden)
        derive(self, "d_inner", self.expand * self.d_model)
        if self.dt_max < self.dt_min:
            raise ValueError(f"dt_max {self.dt_max} is below dt_min {self.dt_min}")
        if "A" in self.pattern and self.d_model % self.num_heads:
            raise ValueError(f"num_heads {self.num_heads} does not divide d_model {self.d_model}")
        if self.position not in POSITIONS:
            near = get_close_matches(str(self.position), POSITIONS, 1, 0)
            raise ValueError(f"position {self.position!r} is unknown; did you mean {near[0]!r}? Allowed: {POSITIONS}")

    @property
    def has_memory(self) -> bool:
        """Whether any block mixes over time."""
        return set(self.pattern) != {"N"}


def _letters(name: str, value: str, allowed: dict[str, str]) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} {value!r}: needs one letter per block out of {', '.join(allowed)}")
    for letter in value:
        if letter not in allowed:
            raise ValueError(f"{name} {value!r}: letter {letter!r} is unknown; allowed are {', '.join(allowed)}")
    return value


def _repeat(pattern: str, length: int) -> str:
    return (pattern * math.ceil(length / len(pattern)))[:length]


def _positive(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError(f"{name} must be above 0, was {value!r}")
