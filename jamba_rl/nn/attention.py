"""Causal attention over a sliding window, with a cache of the window as its state.

Letters of the shape suffixes: B batch, T time, H heads, K features of a head, W window, V = W - 1, S = V + T.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jamba_rl.nn.config import JambaConfig
from jamba_rl.nn.kernels.attention import AttentionInputs, kernel_attention, kernel_attention_step
from jamba_rl.nn.kernels.library import kernels_apply, needs_grad
from jamba_rl.nn.mixer import Mixer, State

MASKED = -1e9  # finite: a softmax over it stays free of NaN


class Attention(Mixer):
    """Multi-head attention of each step to the last ``window`` steps of its own episode.

    Scores get a learned bias per head and lag (T5 without buckets), zero at the start, so that
    "what came 32 steps ago" is one number to learn.

    The state is (keys (B, V, H, D/H), values (B, V, H, D/H), age (B,)): the V = window - 1 steps
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
        qkv = self.qkv_proj(x).view(B, T, 3, self.config.num_heads, self.head_dim)
        y_BTHK, age = windowed_attention(qkv, keys, values, age, reset, self.lag_bias)
        caches = (_next_cache(keys, qkv[:, :, 1]), _next_cache(values, qkv[:, :, 2]))
        return self.out_proj(y_BTHK.view(B, T, D)), (*caches, age)

    def step(self, x: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        B, D = x.shape
        qkv = self.qkv_proj(x).view(B, 3, self.config.num_heads, self.head_dim)
        keys, values, age = state
        y_BHK, *state_after = windowed_attention_step(qkv, keys, values, age, reset, self.lag_bias)
        return self.out_proj(y_BHK.view(B, D)), tuple(state_after)

    def initial_state(self, batch: int) -> State:  # noqa: D102
        weight = self.out_proj.weight
        cache = weight.new_zeros(batch, self.config.window - 1, self.config.num_heads, self.head_dim)
        return cache, cache, torch.zeros(batch, dtype=torch.long, device=weight.device)


def windowed_attention(
    qkv: Tensor, keys: Tensor, values: Tensor, age: Tensor, reset: Tensor | None, lag_bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Attend from every step to the steps of its own episode in its window, itself included.

    :param qkv: (B, T, 3, H, K) queries, keys and values
    :param keys: (B, V, H, K) of the V = W - 1 steps before the first, newest last
    :param values: (B, V, H, K)
    :param age: (B,) steps of the first step's episode before it
    :param reset: (B, T) bool, set at the first step of an episode; None for no resets
    :param lag_bias: (H, W) added to the scores K**-0.5 q . k of every lag; None for none
    :return: y (B, T, H, K) and the age after the last step
    """
    inputs = AttentionInputs(qkv, keys, values, age, reset, lag_bias)
    if _kernel_fits(inputs):
        return kernel_attention(inputs)
    return torch_attention(inputs)


def windowed_attention_step(
    qkv: Tensor, keys: Tensor, values: Tensor, age: Tensor, reset: Tensor | None, lag_bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Do one step of ``windowed_attention``, with qkv (B, 3, H, K) and reset (B,).

    :return: y (B, H, K), and keys, values and age after the step
    """
    inputs = AttentionInputs(qkv, keys, values, age, reset, lag_bias)
    if _kernel_fits(inputs) and not needs_grad((qkv, keys, values, lag_bias)):
        return kernel_attention_step(inputs)
    reset_B1 = None if reset is None else reset[:, None]
    y_B1HK, age = torch_attention(inputs._replace(qkv=qkv[:, None], reset=reset_B1))
    return y_B1HK[:, 0], _next_cache(keys, qkv[:, 1:2]), _next_cache(values, qkv[:, 2:3]), age


def torch_attention(inputs: AttentionInputs) -> tuple[Tensor, Tensor]:
    """Return the same as ``windowed_attention`` in torch operations, for any device and float type.

    By hand, as torch's own attention takes a slow path where the mask is learned.
    """
    qkv, keys_BVHK, values_BVHK, age_B, reset_BT, bias_HW = inputs
    (T, K), W = (qkv.shape[1], qkv.shape[-1]), keys_BVHK.shape[1] + 1
    q_BTHK, k_BTHK, v_BTHK = qkv.unbind(2)
    keys_BHSK = torch.cat([keys_BVHK, k_BTHK], 1).transpose(1, 2)
    values_BHSK = torch.cat([values_BVHK, v_BTHK], 1).transpose(1, 2)
    band_HTS = _band(qkv.new_zeros(1, W) if bias_HW is None else bias_HW, T)
    mask_BHTS = band_HTS + _other_episode(age_B, reset_BT, T, W)
    scores_BHTS = torch.matmul(q_BTHK.transpose(1, 2) * K**-0.5, keys_BHSK.transpose(2, 3)) + mask_BHTS
    y_BHTK = torch.matmul(scores_BHTS.softmax(-1), values_BHSK)
    return y_BHTK.transpose(1, 2).contiguous(), _age_after(age_B, reset_BT, T)


def _kernel_fits(inputs: AttentionInputs) -> bool:
    """Whether there is a kernel and everything is float32 on the CPU; a type that autocast chose is not.

    Nor are shapes that do not go together: those are for torch to complain of.
    """
    qkv, keys, values, age, reset, bias = inputs
    for tensor in (qkv, keys, values, bias):
        if tensor is not None and not (tensor.dtype is torch.float32 and tensor.is_cpu):
            return False
    B, *steps, _, H, K = qkv.shape
    V = keys.shape[1]
    fits = keys.shape == values.shape == (B, V, H, K) and age.shape == (B,) and age.dtype is torch.int64
    fits = fits and (reset is None or (reset.shape == (B, *steps) and reset.dtype is torch.bool))
    fits = fits and (bias is None or bias.shape == (H, V + 1))
    return fits and qkv.numel() > 0 and kernels_apply(qkv)


def _next_cache(cache_BVHK: Tensor, new_BTHK: Tensor) -> Tensor:
    """The V last of the cached and the new steps."""
    V, T = cache_BVHK.shape[1], new_BTHK.shape[1]
    return new_BTHK[:, T - V :] if T >= V else torch.cat([cache_BVHK[:, T:], new_BTHK], 1)


def _band(bias_HW: Tensor, T: int) -> Tensor:
    """Bias (H, T, V + T) of query t to key s, masked outside of the window.

    Row t is the row before it moved one to the right: written as one long row, cut into rows
    one shorter (the "skewing" of Music Transformer, Huang et al. 2018). No indices, so the
    backward pass is a sum.
    """
    H, W = bias_HW.shape
    row_HS = F.pad(bias_HW.flip(1), (0, T), value=MASKED)
    rows = row_HS[:, None].expand(-1, T, -1).reshape(H, -1)
    return rows[:, : T * (W - 1 + T)].view(-1, T, W - 1 + T)


def _other_episode(age_B: Tensor, reset_BT: Tensor | None, T: int, W: int) -> Tensor:
    """Mask (B, 1, T, V + T) of the keys that belong to another episode than the query."""
    time_S = torch.arange(1 - W, T, device=age_B.device)
    start_BT = (-age_B)[:, None].expand(-1, T)
    if reset_BT is not None:
        begun_BT = torch.where(reset_BT, time_S[W - 1 :], -1).cummax(1).values
        start_BT = torch.where(begun_BT >= 0, begun_BT, start_BT)
    return torch.where(time_S < start_BT[:, :, None], MASKED, 0.0)[:, None]


def _age_after(age_B: Tensor, reset_BT: Tensor | None, T: int) -> Tensor:
    """Steps since the episode began, after T more of them."""
    if reset_BT is None:
        return age_B + T
    steps_T = torch.arange(T, 0, -1, device=age_B.device)
    since_B = torch.where(reset_BT, steps_T, T + 1).amin(1)
    return torch.where(since_B <= T, since_B, age_B + T)
