"""Causal attention over a sliding window, with a cache of the window as its state."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jamba_rl.nn.config import JambaConfig
from jamba_rl.nn.mixer import Mixer, State

MASKED = -1e9  # finite: a softmax over it stays free of NaN


class Attention(Mixer):
    """Multi-head attention of each step to the last ``window`` steps of its own episode.

    Scores get a learned bias per head and lag (T5 without buckets), zero at the start, so that
    "what came 32 steps ago" is one number to learn.

    The state is (keys (B, H, V, D/H), values (B, H, V, D/H), age (B,)): the V = window - 1 steps
    before the next one, newest last, and the number of steps since the episode began. Slots older
    than ``age`` are never looked at, so a reset only sets ``age`` to zero.
    """

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.config = config
        d, heads = config.d_model, config.num_heads
        self.head_dim = d // heads
        self.qkv_proj = nn.Linear(d, 3 * d, bias=False)
        self.out_proj = nn.Linear(d, d, bias=False)
        self.lag_bias = nn.Parameter(torch.zeros(heads, config.window)) if config.position == "relative" else None

    def forward(self, x: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        B, T, D = x.shape
        keys, values, age = state
        # (3, B, H, T, K) with K = D / H
        q, k, v = self.qkv_proj(x).view(B, T, 3, self.config.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        keys, values = torch.cat([keys, k], 2), torch.cat([values, v], 2)
        mask_BHTS = self._band(T) + self._other_episode(age, reset, T)
        y_BHTK = self._attend(q, keys, values, mask_BHTS)
        y = self.out_proj(y_BHTK.transpose(1, 2).reshape(B, T, D))
        return y, (keys[:, :, T:], values[:, :, T:], _age_after(age, reset, T))

    def step(self, x: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        B, D = x.shape
        keys, values, age = state
        q, k, v = self.qkv_proj(x).view(B, 3, self.config.num_heads, 1, self.head_dim).unbind(1)
        keys, values = torch.cat([keys, k], 2), torch.cat([values, v], 2)
        if reset is not None:
            age = age.masked_fill(reset, 0)
        lag_W = torch.arange(self.config.window - 1, -1, -1, device=x.device)
        mask_B11W = torch.where(lag_W > age[:, None], MASKED, 0.0)[:, None, None]
        if self.lag_bias is not None:
            mask_B11W = mask_B11W + self.lag_bias.flip(1)[:, None]
        y_BH1K = self._attend(q, keys, values, mask_B11W)
        return self.out_proj(y_BH1K.reshape(B, D)), (keys[:, :, 1:], values[:, :, 1:], age + 1)

    def initial_state(self, batch: int) -> State:  # noqa: D102
        weight = self.out_proj.weight
        cache = weight.new_zeros(batch, self.config.num_heads, self.config.window - 1, self.head_dim)
        return cache, cache, torch.zeros(batch, dtype=torch.long, device=weight.device)

    def _attend(self, q: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Scaled dot-product attention; by hand, as torch's takes a slow path where the mask is learned."""
        scores = torch.matmul(q * self.head_dim**-0.5, keys.transpose(-1, -2)) + mask
        return torch.matmul(scores.softmax(-1), values)

    def _band(self, T: int) -> Tensor:
        """Bias (H or 1, T, V + T) of query t to key s, masked outside of the window.

        Row t is the row before it moved one to the right: written as one long row, cut into rows
        one shorter (the "skewing" of Music Transformer, Huang et al. 2018). No indices, so the
        backward pass is a sum.
        """
        W = self.config.window
        bias_HW = self.lag_bias if self.lag_bias is not None else self.out_proj.weight.new_zeros(1, W)
        row_HS = F.pad(bias_HW.flip(1), (0, T), value=MASKED)
        rows = row_HS[:, None].expand(-1, T, -1).reshape(row_HS.shape[0], -1)
        return rows[:, : T * (W - 1 + T)].view(-1, T, W - 1 + T)

    def _other_episode(self, age_B: Tensor, reset_BT: Tensor | None, T: int) -> Tensor:
        """Mask (B, 1, T, V + T) of the keys that belong to another episode than the query."""
        V = self.config.window - 1
        time_S = torch.arange(-V, T, device=age_B.device)
        start_BT = (-age_B)[:, None].expand(-1, T)
        if reset_BT is not None:
            begun_BT = torch.where(reset_BT, time_S[V:], -1).cummax(1).values
            start_BT = torch.where(begun_BT >= 0, begun_BT, start_BT)
        return torch.where(time_S < start_BT[:, :, None], MASKED, 0.0)[:, None]


def _age_after(age_B: Tensor, reset_BT: Tensor | None, T: int) -> Tensor:
    """Steps since the episode began, after T more of them."""
    if reset_BT is None:
        return age_B + T
    steps_T = torch.arange(T, 0, -1, device=age_B.device)
    since_B = torch.where(reset_BT, steps_T, T + 1).amin(1)
    return torch.where(since_B <= T, since_B, age_B + T)
