"""The one configuration of a backbone."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import InitVar, dataclass
from difflib import get_close_matches
from typing import Any

from jamba_rl.nn.patterns import FEEDFORWARDS, MEMORYLESS, MIXERS, letters, periodic, repeat

CHOICES = {
    "position": ("relative", "rope", "learned", "none"),
    "ffn_act": ("swiglu", "gelu", "silu"),
    "expert_act": ("swiglu", "gelu", "silu"),
    "router_weights": ("renormalised", "softmax", "raw"),
    "balance": ("switch", "pooled", "uniform", "bias", "none"),
    "z_loss": ("squared", "linear", "none"),
}
COUNTS = (
    "num_layers", "d_state", "d_conv", "dt_rank", "num_heads", "num_kv_heads", "max_positions", "d_hidden",
    "num_experts", "top_k",
)  # fmt: skip
ABOVE_ZERO = ("expand", "ffn_mult", "norm_eps", "dt_min", "dt_max", "branch_scale", "lag_scale", "rope_base")
NOT_BELOW_ZERO = ("dropout", "balance_coef", "z_coef", "router_jitter")
OPTIONAL = {
    "window": (int, "a whole number above 0, or None"),
    "init_std": (float, "above 0, or None"),
    "decay_min": (float, "above 0, or None"),
}
MAX_CONV = 32
FLAGS = ("conv_bias", "mamba_bias", "mamba_norms", "attention_bias", "ffn_bias", "gradient_checkpointing")


@dataclass(frozen=True)
class JambaConfig:
    """Everything that shapes a backbone; frozen, checked when made.

    A backbone is a stack of blocks. Block i mixes over time with the mixer that ``pattern[i]``
    names, then over features with the feed-forward that ``ffn_pattern[i]`` names; both are
    pre-norm residual branches. A default of None depends on other fields and is filled in, once:
    ``dataclasses.replace`` keeps what was filled in.

    *The stack*

    :param d_model: width of the residual stream
    :param pattern: one letter per block: M Mamba, A attention, S linear SSM, L LSTM, G GRU, P the seeds' simple SSM
        (two linear layers, no memory), N none; default AM, or what ``attn_period`` or ``mamba_ratio`` say
    :param ffn_pattern: D (dense), E (mixture of experts) or - (none), repeated to the length of
        ``pattern``; default -, or what ``moe_period`` says
    :param num_layers: number of blocks; ``pattern`` is repeated to it (default: its own length)
    :param norm_eps: epsilon of every RMSNorm
    :param dropout: of the output of every branch, in training mode
    :param branch_scale: factor on the output projection of every branch at the start; a small one
        lets a stack begin near the identity, and an agent with memory as one without
    :param init_std: standard deviation of initial matrices, but for the time steps'; None for those of torch's layers
    :param gradient_checkpointing: compute branches again in the backward pass instead of keeping
        what they need: less memory, more time

    *Mamba*

    :param d_state: states per channel (N)
    :param d_conv: taps of the causal convolution (W)
    :param expand: the inner width is ``expand * d_model`` (E)
    :param dt_rank: rank of the time-step projection (R); default ceil(d_model / 16)
    :param dt_min: shortest initial time step (dt); a state first remembers 1/(dt decay) steps
    :param dt_max: longest initial time step
    :param decay_min: slowest of the rates at which the states of a channel decay at the start, per unit of dt: the N of
        them lie between it and 1 in equal ratios; None for the published 1, 2, ..., N. One of four signs, shown 200
        steps ago, is learned from 4,000 labelled episodes with the defaults, and not from 9,000 as published
    :param rotations: pairs of states of a channel that the input turns, as in Mamba-3, and with them can count: states
        that only decay cannot even tell odd from even; default ``d_state // 4``, 0 for none, at most ``d_state // 2``
    :param mamba_norms: RMSNorm on dt, B and C, as in AI21's Jamba
    :param conv_bias: whether the convolution has a bias
    :param mamba_bias: whether the outer projections have one

    *Attention*

    :param num_heads: divides ``d_model``
    :param num_kv_heads: heads of keys and values, each shared by as many of queries; default ``num_heads``
    :param window: steps that attention sees, the current one included; None for the whole episode,
        which then is what the state holds
    :param position: ``relative`` (a learned bias per head and lag within the window), ``rope``, ``learned``
        (vectors added to the input of the stack), or ``none``; all count from the start of the episode
    :param lag_scale: factor on the learned biases of ``relative`` in the first head; 1 in the last, others between.
        An optimizer such as Adam moves a parameter by its learning rate, and to single out one lag among hundreds takes
        a bias of several: with 16 what came 63 steps ago is learned from a fifth of the sequences that 1 needs, while
        the last heads stay calm
    :param rope_base: longest wavelength of ``rope``, in steps per radian
    :param max_positions: vectors of ``learned``; later steps share the last one
    :param attention_bias: whether the projections have biases

    *Other mixers and feed-forward*

    :param d_hidden: units of L and G, states of S and P; default ``d_model``
    :param ffn_mult: hidden width of feed-forward and experts in units of ``d_model``
    :param ffn_act: ``swiglu``, ``gelu`` or ``silu``
    :param ffn_bias: whether feed-forward and experts have biases

    *Mixture of experts* (E)

    :param num_experts: experts per layer
    :param top_k: experts per token
    :param expert_act: like ``ffn_act``
    :param router_weights: ``renormalised`` (the chosen probabilities sum to 1), ``softmax`` (they
        are left as they are) or ``raw`` (the chosen logits)
    :param balance: what spreads tokens over experts, see ``jamba_rl.nn.router``
    :param balance_coef: weight of the balance loss; with ``bias`` its rate, for which 0.001 is usual
    :param z_loss: ``squared``, ``linear`` or ``none``: what keeps the router's logits small
    :param z_coef: weight of that loss
    :param router_jitter: standard deviation of noise on the router's logits, in training mode

    *Patterns in other words*

    :param attn_period: attention at every block i with i % attn_period == attn_offset, Mamba elsewhere
    :param attn_offset: default attn_period - 1
    :param mamba_ratio: r Mamba blocks, then one of attention; the same as attn_period r + 1
    :param moe_period: experts at every block i with i % moe_period == moe_offset, dense elsewhere
    :param moe_offset: default moe_period - 1

    :raises ValueError: says what was given and what is allowed

    >>> JambaConfig(pattern="MMMA", num_layers=8).pattern
    'MMMAMMMA'
    >>> JambaConfig(attn_period=8, attn_offset=4, moe_period=2).ffn_pattern
    'DEDEDEDE'
    >>> JambaConfig(pattern="MXA")
    Traceback (most recent call last):
        ...
    ValueError: pattern 'MXA': letter 'X' is unknown; allowed are M, A, S, L, G, P, N
    """

    d_model: int = 64
    pattern: str = None  # type: ignore[assignment]
    ffn_pattern: str = None  # type: ignore[assignment]
    num_layers: int = None  # type: ignore[assignment]
    norm_eps: float = 1e-6
    dropout: float = 0.0
    branch_scale: float = 0.1
    init_std: float | None = None
    gradient_checkpointing: bool = False

    d_state: int = 16
    d_conv: int = 4
    expand: float = 2
    dt_rank: int = None  # type: ignore[assignment]
    dt_min: float = 0.01
    dt_max: float = 1.0
    decay_min: float | None = 1e-3
    rotations: int = None  # type: ignore[assignment]
    mamba_norms: bool = True
    conv_bias: bool = True
    mamba_bias: bool = False

    num_heads: int = 4
    num_kv_heads: int = None  # type: ignore[assignment]
    window: int | None = 64
    position: str = "relative"
    lag_scale: float = 16.0
    rope_base: float = 10000.0
    max_positions: int = 2048
    attention_bias: bool = False

    d_hidden: int = None  # type: ignore[assignment]
    ffn_mult: float = 2.0
    ffn_act: str = "swiglu"
    ffn_bias: bool = False

    num_experts: int = 8
    top_k: int = 2
    expert_act: str = "swiglu"
    router_weights: str = "renormalised"
    balance: str = "switch"
    balance_coef: float = 0.01
    z_loss: str = "squared"
    z_coef: float = 0.001
    router_jitter: float = 0.0

    attn_period: InitVar[int | None] = None
    attn_offset: InitVar[int | None] = None
    mamba_ratio: InitVar[int | None] = None
    moe_period: InitVar[int | None] = None
    moe_offset: InitVar[int | None] = None

    def __post_init__(
        self,
        attn_period: int | None,
        attn_offset: int | None,
        mamba_ratio: int | None,
        moe_period: int | None,
        moe_offset: int | None,
    ) -> None:
        _number("d_model", self.d_model, int, "a whole number above 0", above=0)
        mixers = _mixer_pattern(self.pattern, attn_period, attn_offset, mamba_ratio)
        ffns = _ffn_pattern(self.ffn_pattern, moe_period, moe_offset)
        self._fill(num_layers=len(mixers), num_kv_heads=self.num_heads, d_hidden=self.d_model)
        _number("d_state", self.d_state, int, "a whole number above 0", above=0)
        self._fill(dt_rank=math.ceil(self.d_model / 16), rotations=self.d_state // 4)
        self._check_values()
        object.__setattr__(self, "pattern", repeat(mixers, self.num_layers))
        object.__setattr__(self, "ffn_pattern", repeat(ffns, self.num_layers))
        self._check_together()

    def __setstate__(self, saved: dict[str, Any]) -> None:
        """Models saved before there were ``lag_scale`` and ``rotations`` have lags that count once, and none."""
        self.__dict__.update({"lag_scale": 1.0, "rotations": 0} | saved)

    @classmethod
    def preset(cls, name: str, **overrides: Any) -> JambaConfig:
        """Return a named configuration, with some of its fields set otherwise.

        :param name: ``rl``, our defaults, and the published systems: ``mamba``, ``dhc-rl``, ``dhc-vision``,
            ``nakshatra``, ``nexus``, ``ai21-jamba``; see ``jamba_rl.nn.presets``
        :raises ValueError: names the nearest preset or field

        >>> JambaConfig.preset("ai21-jamba", num_layers=8).pattern
        'MMMMAMMM'
        """
        from jamba_rl.nn.presets import PRESETS

        overrides = {key: value for key, value in overrides.items() if value is not None or key in OPTIONAL}
        if not isinstance(name, str) or name not in PRESETS:
            raise ValueError(_unknown("preset", name, PRESETS))
        check_fields(overrides)
        fields = dict(PRESETS[name])
        if {"attn_period", "mamba_ratio"} & overrides.keys():
            fields.pop("pattern", None)
        if "moe_period" in overrides:
            fields.pop("ffn_pattern", None)
        return cls(**fields | overrides)

    @property
    def d_inner(self) -> int:
        """Inner width of Mamba (E)."""
        return round(self.expand * self.d_model)

    @property
    def d_ffn(self) -> int:
        """Hidden width of feed-forward and experts."""
        return round(self.ffn_mult * self.d_model)

    @property
    def has_memory(self) -> bool:
        """Whether any block mixes over time."""
        return not set(self.pattern) <= set(MEMORYLESS)

    @property
    def memory_grows(self) -> bool:
        """Whether the state becomes larger with every step of an episode."""
        return "A" in self.pattern and self.window is None

    def _fill(self, **defaults: object) -> None:
        for name, value in defaults.items():
            if getattr(self, name, None) is None:
                object.__setattr__(self, name, value)

    def _check_values(self) -> None:
        for name in COUNTS:
            _number(name, getattr(self, name), int, "a whole number above 0", above=0)
        for name in ABOVE_ZERO:
            _number(name, getattr(self, name), float, "above 0", above=0)
        for name in NOT_BELOW_ZERO:
            _number(name, getattr(self, name), float, "0 or above", above=-math.ulp(0.0))
        for name, (kind, allowed) in OPTIONAL.items():
            if getattr(self, name) is not None:
                _number(name, getattr(self, name), kind, allowed, above=0)
        for name in FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, was {getattr(self, name)!r}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(_unknown(name, getattr(self, name), choices))

    def _check_together(self) -> None:
        if self.dt_max < self.dt_min:
            raise ValueError(f"dt_max {self.dt_max} is below dt_min {self.dt_min}")
        for name, widened in (("expand", self.d_inner), ("ffn_mult", self.d_ffn)):
            if widened < 1:
                raise ValueError(f"{name} {getattr(self, name)} leaves no width of d_model {self.d_model}")
        if self.d_conv > MAX_CONV:
            raise ValueError(f"d_conv must be at most {MAX_CONV}, was {self.d_conv}")
        _number("rotations", self.rotations, int, "a whole number, 0 or above", above=-1)
        if 2 * self.rotations > self.d_state:
            raise ValueError(f"rotations turn pairs of states, at most {self.d_state // 2}, was {self.rotations}")
        if self.dropout >= 1:
            raise ValueError(f"dropout must be below 1, was {self.dropout}")
        if "A" in self.pattern:
            self._check_attention()
        if "E" in self.ffn_pattern and self.top_k > self.num_experts:
            raise ValueError(f"top_k {self.top_k} is above num_experts {self.num_experts}")

    def _check_attention(self) -> None:
        if self.d_model % self.num_heads:
            raise ValueError(f"num_heads {self.num_heads} does not divide d_model {self.d_model}")
        if self.num_heads % self.num_kv_heads:
            raise ValueError(f"num_kv_heads {self.num_kv_heads} does not divide num_heads {self.num_heads}")
        if self.position == "relative" and self.window is None:
            raise ValueError("position 'relative' learns a bias per lag of a window: set window, or another position")
        if self.position == "rope" and self.d_model // self.num_heads % 2:
            raise ValueError(f"position 'rope' needs heads of even width, not {self.d_model // self.num_heads}")


def _mixer_pattern(pattern: str | None, period: int | None, offset: int | None, ratio: int | None) -> str:
    if sum(given is not None for given in (pattern, period, ratio)) > 1:
        raise ValueError(f"give one of pattern, attn_period and mamba_ratio, not {pattern!r}, {period!r} and {ratio!r}")
    if period is None and offset is not None:
        raise ValueError(f"attn_offset {offset!r} needs attn_period")
    if ratio is not None:
        _number("mamba_ratio", ratio, int, "a whole number, 0 or above", above=-1)
        period = ratio + 1
    if period is not None:
        return periodic("attn", "M", "A", period, offset)
    return letters("pattern", "AM" if pattern is None else pattern, MIXERS)


def _ffn_pattern(pattern: str | None, period: int | None, offset: int | None) -> str:
    if pattern is not None and period is not None:
        raise ValueError(f"give one of ffn_pattern and moe_period, not {pattern!r} and {period!r}")
    if period is None and offset is not None:
        raise ValueError(f"moe_offset {offset!r} needs moe_period")
    if period is not None:
        return periodic("moe", "D", "E", period, offset)
    return letters("ffn_pattern", "-" if pattern is None else pattern, FEEDFORWARDS)


def check_fields(names: Iterable[str]) -> None:
    """Raise ValueError, with the nearest, if a name is no field of ``JambaConfig``."""
    for name in names:
        if name not in JambaConfig.__match_args__:
            raise ValueError(_unknown("field of JambaConfig", name, JambaConfig.__match_args__))


def _number(name: str, value: object, kind: type, allowed: str, above: float) -> None:
    kinds = int if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not above < value < math.inf:
        raise ValueError(f"{name} must be {allowed}, was {value!r}")


def _unknown(what: str, given: object, allowed: Collection[str]) -> str:
    near = get_close_matches(str(given), allowed, 1, 0)
    listed = f" Allowed: {', '.join(allowed)}" if len(allowed) < 12 else ""
    return f"{what} {given!r} is unknown; did you mean {near[0]!r}?{listed}"
