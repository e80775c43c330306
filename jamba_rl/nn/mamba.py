"""Mamba: the selective state-space mixer (Gu & Dao 2023, arXiv 2312.00752)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from jamba_rl.nn.config import JambaConfig
from jamba_rl.nn.mixer import Mixer, State
from jamba_rl.nn.scan import InnerWeights, mamba_inner


class Mamba(Mixer):
    """Mamba-1 block: projection, causal convolution, selective scan, gate, projection.

    Parameter names and shapes are those of ``mamba_ssm.Mamba``. With E = d_inner, N = d_state,
    W = d_conv, R = dt_rank::

        x, z     = in_proj(u)
        x        = SiLU(conv(x))                      causal, one filter per channel
        dt, B, C = x_proj(x);  dt = softplus(dt_proj(dt))
        h_t      = exp(dt_t A) h_{t-1} + dt_t B_t x_t      A = -exp(A_log)
        y_t      = C_t h_t + D x_t
        out      = out_proj(y * SiLU(z))

    The state is (last W-1 inputs of the convolution (B, W-1, E), h (B, E, N)).

    Initialisation (section 3.6 of the paper):

    ==================  ==========================================================
    A_log               log(1..N) in every channel (S4D-Real)
    D                   1
    dt_proj.weight      U(-R^-1/2, R^-1/2)
    dt_proj.bias        inverse softplus of dt, dt log-uniform in [dt_min, dt_max]
    everything else     torch's default
    ==================  ==========================================================
    """

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.config = config
        d, e, n, r = config.d_model, config.d_inner, config.d_state, config.dt_rank
        self.in_proj = nn.Linear(d, 2 * e, bias=False)
        self.conv1d = nn.Conv1d(e, e, config.d_conv, groups=e)
        self.x_proj = nn.Linear(e, r + 2 * n, bias=False)
        self.dt_proj = nn.Linear(r, e)
        self.A_log = nn.Parameter(torch.empty(e, n))
        self.D = nn.Parameter(torch.empty(e))
        self.out_proj = nn.Linear(e, d, bias=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialise what defines the memory; see the table of the class."""
        config = self.config
        self.A_log.copy_(torch.arange(1, config.d_state + 1).log().expand_as(self.A_log))
        self.D.fill_(1.0)
        self.dt_proj.weight.uniform_(-(config.dt_rank**-0.5), config.dt_rank**-0.5)
        dt = torch.empty_like(self.dt_proj.bias).uniform_(math.log(config.dt_min), math.log(config.dt_max)).exp()
        self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))

    def forward(self, x: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        conv_state, h = state
        y, conv_state, h = mamba_inner(self.in_proj(x), self._inner_weights(), conv_state, h, reset)
        return self.out_proj(y), (conv_state, h)

    def step(self, x: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        return self.forward(x, state, reset)  # everything inside takes one step as well as a sequence

    def initial_state(self, batch: int) -> State:  # noqa: D102
        config = self.config
        return (
            self.A_log.new_zeros(batch, config.d_conv - 1, config.d_inner),
            self.A_log.new_zeros(batch, config.d_inner, config.d_state),
        )

    def _inner_weights(self) -> InnerWeights:
        conv, dt = self.conv1d, self.dt_proj
        return InnerWeights(conv.weight[:, 0], conv.bias, self.x_proj.weight, dt.weight, dt.bias, self.A_log, self.D)
