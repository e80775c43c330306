"""Mamba: the selective state-space mixer (Gu & Dao 2023, arXiv 2312.00752)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jamba_rl.nn.config import JambaConfig
from jamba_rl.nn.mixer import Mixer, State, keep
from jamba_rl.nn.scan import selective_scan, selective_scan_step


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
        assert r is not None
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
        assert config.dt_rank is not None
        self.A_log.copy_(torch.arange(1, config.d_state + 1).log().expand_as(self.A_log))
        self.D.fill_(1.0)
        self.dt_proj.weight.uniform_(-(config.dt_rank**-0.5), config.dt_rank**-0.5)
        dt = torch.empty_like(self.dt_proj.bias).uniform_(math.log(config.dt_min), math.log(config.dt_max)).exp()
        self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))

    def forward(self, x: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        conv_state, h = state
        x_BTE, z_BTE = self.in_proj(x).chunk(2, -1)
        x_BTE, conv_state = self._convolve(x_BTE, conv_state, reset)
        dt_BTE, B_BTN, C_BTN = self._select(x_BTE)
        y_BTE, h = selective_scan(x_BTE, dt_BTE, -self.A_log.exp(), B_BTN, C_BTN, self.D, reset, h)
        return self.out_proj(y_BTE * F.silu(z_BTE)), (conv_state, h)

    def step(self, x: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        conv_state, h = state
        x_BE, z_BE = self.in_proj(x).chunk(2, -1)
        taps_BWE = torch.cat([keep(conv_state, reset), x_BE.unsqueeze(1)], 1)
        x_BE = F.silu((taps_BWE * self.conv1d.weight[:, 0].T).sum(1) + self.conv1d.bias)
        dt_BE, B_BN, C_BN = self._select(x_BE)
        y_BE, h = selective_scan_step(x_BE, dt_BE, -self.A_log.exp(), B_BN, C_BN, self.D, h, reset)
        return self.out_proj(y_BE * F.silu(z_BE)), (taps_BWE[:, 1:], h)

    def initial_state(self, batch: int) -> State:  # noqa: D102
        config = self.config
        return (
            self.A_log.new_zeros(batch, config.d_conv - 1, config.d_inner),
            self.A_log.new_zeros(batch, config.d_inner, config.d_state),
        )

    def _select(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Time step, input and output weights, chosen by the input itself."""
        config = self.config
        assert config.dt_rank is not None
        dt, B, C = self.x_proj(x).split([config.dt_rank, config.d_state, config.d_state], -1)
        return F.softplus(self.dt_proj(dt)), B, C

    def _convolve(self, x_BTE: Tensor, state_BVE: Tensor, reset_BT: Tensor | None) -> tuple[Tensor, Tensor]:
        """Causal depthwise convolution and SiLU, continuing from the last V = W-1 inputs.

        A tap reaches back over ``lag`` steps only inside one episode.
        """
        (T, V) = x_BTE.shape[1], state_BVE.shape[1]
        weight_WE = self.conv1d.weight[:, 0].T
        inputs_BSE = torch.cat([state_BVE, x_BTE], 1)
        y_BTE = torch.addcmul(self.conv1d.bias, x_BTE, weight_WE[V])
        if reset_BT is None:
            for lag in range(1, V + 1):
                y_BTE = torch.addcmul(y_BTE, inputs_BSE[:, V - lag : V - lag + T], weight_WE[V - lag])
            return F.silu(y_BTE), inputs_BSE[:, T:]
        episode_BS = F.pad(reset_BT.long().cumsum(1), (V, 0))
        for lag in range(1, V + 1):
            same_BT1 = (episode_BS[:, V - lag : V - lag + T] == episode_BS[:, V:]).unsqueeze(-1)
            y_BTE = torch.addcmul(y_BTE, inputs_BSE[:, V - lag : V - lag + T] * same_BT1, weight_WE[V - lag])
        last_BV1 = (episode_BS[:, T:] == episode_BS[:, -1:]).unsqueeze(-1)
        return F.silu(y_BTE), inputs_BSE[:, T:] * last_BV1
