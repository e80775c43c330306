"""The simple baseline: a linear, time-invariant, diagonal state-space model."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from jamba_rl.nn.config import JambaConfig
from jamba_rl.nn.mixer import Mixer, State
from jamba_rl.nn.scan import selective_scan

LONGEST = 1000  # memory at the start, in steps; the shortest is one step


class LinearSSM(Mixer):
    """h_t = a h_{t-1} + (1 - a) B u_t;  y_t = C h_t + D u_t, with fixed a in (0, 1) per state.

    B is ``in_proj``, C ``out_proj``, D a gain per channel.

    A bank of S = d_hidden leaky integrators between two dense maps B and C: S5 (Smith et al. 2023,
    arXiv 2208.04933) with real eigenvalues. Nothing depends on the input but the input itself: what
    Mamba adds is exactly the selection that is missing here. The factor 1 - a keeps the state at
    the scale of its input however slow it is (LRU, Orvieto et al. 2023).

    a = exp(-dt), with dt log-uniform in [0.001, 1] at the start: memories of 1 to 1000 steps. The state is (h (B, S),).
    """

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        d, states = config.d_model, config.d_hidden
        self.in_proj = nn.Linear(d, states, bias=False)
        self.out_proj = nn.Linear(states, d, bias=False)
        self.D = nn.Parameter(torch.zeros(d))  # the residual stream carries the input already
        self.log_dt = nn.Parameter(torch.empty(states).uniform_(math.log(1 / LONGEST), 0.0))

    def forward(self, x: Tensor, state: State | None, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        u_BTS = self.in_proj(x)
        dt_S, gain_S = self._rates()
        # selective_scan multiplies the input by dt; divide it out again
        one_BT1 = u_BTS.new_ones(1, 1, 1).expand(*u_BTS.shape[:2], 1)
        h_BTS, h_BS1 = selective_scan(
            u_BTS * (gain_S / dt_S), dt_S.expand_as(u_BTS), -torch.ones_like(dt_S)[:, None], one_BT1, one_BT1,
            reset=reset, initial_state=None if state is None else state[0][..., None],
        )  # fmt: skip
        return self.out_proj(h_BTS) + self.D * x, (h_BS1[..., 0],)

    def step(self, x: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        u_BS = self.in_proj(x)
        _dt_S, gain_S = self._rates()
        h_BS = state[0] if reset is None else state[0].masked_fill(reset[:, None], 0.0)
        h_BS = torch.lerp(h_BS, u_BS.to(h_BS.dtype), gain_S.to(h_BS.dtype))
        return self.out_proj(h_BS.to(x.dtype)) + self.D * x, (h_BS,)

    def initial_state(self, batch: int) -> State:  # noqa: D102
        dtype = torch.promote_types(self.log_dt.dtype, torch.float32)
        return (self.log_dt.new_zeros(batch, len(self.log_dt), dtype=dtype),)

    def _rates(self) -> tuple[Tensor, Tensor]:
        """Dt and 1 - a = 1 - exp(-dt), per state."""
        dt_S = self.log_dt.exp()
        return dt_S, -torch.expm1(-dt_S)
