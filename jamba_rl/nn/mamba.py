"""Mamba: the selective state-space mixer (Gu & Dao 2023, arXiv 2312.00752)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from jamba_rl.kernels.layers import find, find_all, only_multiplies, shapes_of
from jamba_rl.kernels.linear import linear
from jamba_rl.kernels.mamba_step import StepSizes, kernel_step, step_applies
from jamba_rl.nn.config import JambaConfig
from jamba_rl.nn.mixer import Mixer, State
from jamba_rl.nn.norm import RMSNorm
from jamba_rl.nn.scan import InnerWeights, mamba_decay, mamba_inner

# In the order of the kernel of one step, which begins with A_log and D.
_INNER = (
    ("conv1d", "weight"), ("conv1d", "bias"), ("x_proj", "weight"), ("dt_proj", "weight"), ("dt_proj", "bias"),
    ("dt_layernorm", "weight"), ("b_layernorm", "weight"), ("c_layernorm", "weight"), ("angle_proj", "weight"),
)  # fmt: skip
_OUTER = (("in_proj", "weight"), ("in_proj", "bias"), ("out_proj", "weight"), ("out_proj", "bias"))


class Mamba(Mixer):
    """Mamba-1 block: projection, causal convolution, selective scan, gate, projection.

    Parameter names and shapes are those of ``mamba_ssm.Mamba``; the norms that ``mamba_norms`` adds have those of Jamba
    in transformers. With E = d_inner, N = d_state, W = d_conv, R = dt_rank, Q = rotations::

        x, z     = in_proj(u)
        x        = SiLU(conv(x))                      causal, one filter per channel
        dt, B, C = x_proj(x)                          with mamba_norms, an RMSNorm of each
        dt       = softplus(dt_proj(dt))
        h_t      = exp(dt_t A) h_{t-1} + dt_t B_t x_t      A = -exp(A_log)
        y_t      = C_t h_t + D x_t
        out      = out_proj(y * SiLU(z))

    With rotations, the first 2 Q states of a channel are Q pairs, n and n + Q, each a point of the plane that the input
    turns before it decays (Lahoti et al. 2026, Mamba-3, arXiv 2603.15569)::

        theta    = pi tanh(angle_proj(x) / 2)         one angle per pair, of all channels
        h_t      = exp(dt_t A) R(theta_t) h_{t-1} + dt_t B_t x_t

    A pair decays as one: A_log has N - Q columns, the first Q of which are those of pairs.

    The state is (last W-1 inputs of the convolution (B, W-1, E), h (B, E, N)), in float32 for layers of smaller types.

    Initialisation (section 3.6 of the paper):

    ==================  ==========================================================
    A_log               evenly from log(decay_min) to 0 in every channel; without it log(1..N), S4D-Real
    D                   1
    dt_proj.weight      U(-R^-1/2, R^-1/2)
    dt_proj.bias        inverse softplus of dt, dt log-uniform in [dt_min, dt_max]
    b_layernorm.weight  with decay_min, square root of the rate of decay
    angle_proj.weight   N(0, 0.04)
    everything else     torch's default
    ==================  ==========================================================
    """

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.config = config
        d, e, n, r = config.d_model, config.d_inner, config.d_state, config.dt_rank
        self.in_proj = nn.Linear(d, 2 * e, bias=config.mamba_bias)
        self.conv1d = nn.Conv1d(e, e, config.d_conv, groups=e, bias=config.conv_bias)
        self.x_proj = nn.Linear(e, r + 2 * n, bias=False)
        self.dt_proj = nn.Linear(r, e)
        self.A_log = nn.Parameter(torch.empty(e, n - config.rotations))
        self.D = nn.Parameter(torch.empty(e))
        self.out_proj = nn.Linear(e, d, bias=config.mamba_bias)
        if config.mamba_norms:
            self.dt_layernorm = RMSNorm(r, config.norm_eps)
            self.b_layernorm = RMSNorm(n, config.norm_eps)
            self.c_layernorm = RMSNorm(n, config.norm_eps)
        if config.rotations:
            self.angle_proj = nn.Linear(e, config.rotations, bias=False)
        self._sizes = StepSizes(d, e, n, r, config.d_conv, config.rotations, config.norm_eps)
        self._shapes = shapes_of(self._inner() + find_all(self, _OUTER))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialise what defines the memory; see the table of the class."""
        config = self.config
        turning, calm = self._log_rates(config.rotations), self._log_rates(config.d_state - 2 * config.rotations)
        self.A_log.copy_(torch.cat([turning, calm]).expand_as(self.A_log))
        if config.rotations:
            self.angle_proj.weight.normal_(std=0.04)
        if config.mamba_norms and config.decay_min is not None:
            # h gains dt B x and loses dt rate h, so it grows to B x / rate: slow states would drown all else
            self.b_layernorm.weight.copy_((0.5 * torch.cat([turning, turning, calm])).exp())
        self.D.fill_(1.0)
        self.dt_proj.weight.uniform_(-(config.dt_rank**-0.5), config.dt_rank**-0.5)
        dt = torch.empty_like(self.dt_proj.bias).uniform_(math.log(config.dt_min), math.log(config.dt_max)).exp()
        self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))

    def _log_rates(self, states: int) -> Tensor:
        slowest = self.config.decay_min
        return torch.arange(1, states + 1).log() if slowest is None else torch.linspace(math.log(slowest), 0.0, states)

    def forward(self, x: Tensor, state: State | None, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        conv_state, h = (None, None) if state is None else state
        y, conv_state, h = mamba_inner(linear(self.in_proj, x), self._inner_weights(), conv_state, h, reset)
        return linear(self.out_proj, y), (conv_state, h)

    def step(self, x: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        if only_multiplies(self._modules["in_proj"]) and only_multiplies(self._modules["out_proj"]):
            parameters = self._inner() + find_all(self, _OUTER)
            if step_applies(self._sizes, self._shapes, parameters, x, state, reset):
                return kernel_step(self._sizes, parameters, x, state, reset)
        return self.forward(x, state, reset)  # everything inside takes one step as well as a sequence

    def decay(self, x: Tensor, state: State | None, reset: Tensor | None = None) -> Tensor:
        """Return how much of each state ``forward``, with the same arguments, keeps at each step: (B, T, E, N).

        exp(dt A), between 0 and 1; 0 where an episode begins.
        """
        conv_state = None if state is None else state[0]
        return mamba_decay(linear(self.in_proj, x), self._inner_weights(), conv_state, reset)

    def initial_state(self, batch: int) -> State:  # noqa: D102
        config = self.config
        dtype = torch.promote_types(self.A_log.dtype, torch.float32)
        return (
            self.A_log.new_zeros(batch, config.d_conv - 1, config.d_inner, dtype=dtype),
            self.A_log.new_zeros(batch, config.d_inner, config.d_state, dtype=dtype),
        )

    def _inner_weights(self) -> InnerWeights:
        A_log, D, conv_weight, *projections, dt_norm, B_norm, C_norm, angle_proj = self._inner()
        before_norms = (conv_weight.squeeze(1), *projections, A_log, D)
        return InnerWeights._make([*before_norms, dt_norm, B_norm, C_norm, angle_proj, self.config.norm_eps])

    def _inner(self) -> list[Any]:
        return [find(self, "A_log"), find(self, "D"), *find_all(self, _INNER)]
