"""Causal attention within the episode, over a window or over all of it, with a cache of the past as its state.

Letters of the shape suffixes: B batch, T time, H heads, G heads of keys and values, K features of a head, W window,
P steps remembered (W - 1, or without a window all of them), S = P + T.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jamba_rl.kernels.attention import AttentionInputs, kernel_attention, kernel_attention_step
from jamba_rl.kernels.attention_layer import StepSizes, kernel_step, step_applies
from jamba_rl.kernels.layers import find, find_all, only_multiplies, shapes_of
from jamba_rl.kernels.library import kernels_apply, needs_grad
from jamba_rl.nn.config import JambaConfig
from jamba_rl.nn.episodes import age_after, episode_starts, positions, same_episode
from jamba_rl.nn.mixer import Mixer, State
from jamba_rl.nn.positions import rotate

# In the order of the kernel of one step, which ends with lag_bias.
_PROJECTIONS = (("qkv_proj", "weight"), ("qkv_proj", "bias"), ("out_proj", "weight"), ("out_proj", "bias"))
MASKED = -1e9  # finite: a softmax over it stays free of NaN


class Attention(Mixer):
    """Multi-head attention of each step to the last ``window`` steps of its own episode, or to all of them.

    With ``position: relative`` scores get a learned bias per head and lag (T5 without buckets), zero at the start, so
    that "what came 32 steps ago" is one number to learn; some heads learn it sooner (``lag_scale``). With ``rope``
    queries and keys are turned by their step of the episode. With fewer heads of keys and values, each serves a group
    of queries' heads (GQA, Ainslie et al. 2023).

    The state is (keys (B, P, G, K), values (B, P, G, K), age (B,)): the P steps before the next one, newest last,
    and the number of steps since the episode began. Slots older than ``age`` have no weight, so a reset only sets
    ``age`` to zero. P is window - 1, or without a window as long as the longest episode of the batch.
    """

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.config = config
        d, heads, shared = config.d_model, config.num_heads, config.num_kv_heads
        self.head_dim = d // heads
        self.qkv_proj = nn.Linear(d, (heads + 2 * shared) * self.head_dim, bias=config.attention_bias)
        self.out_proj = nn.Linear(d, d, bias=config.attention_bias)
        self.lag_bias: nn.Parameter | None = None
        if config.position == "relative":
            assert config.window is not None  # the configuration says so
            self.lag_bias = nn.Parameter(torch.zeros(heads, config.window))
            scales = torch.logspace(math.log10(config.lag_scale), 0.0, heads)[:, None]
            self.register_buffer("lag_scales", scales, persistent=False)
        # Whether queries, keys and values are three of a kind, and remembered for a fixed time.
        self._packs = shared == heads and config.window is not None
        rope_base = config.rope_base if config.position == "rope" else 0.0
        self._sizes = StepSizes(heads, self.head_dim, config.window or 0, rope_base)
        self._shapes = shapes_of(self._parameters_of_step())

    def forward(self, x: Tensor, state: State | None, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        state = self.initial_state(len(x)) if state is None else state
        attend = self._over_the_episode if self.config.window is None else self._over_a_window
        y_BTHK, state = attend(self._heads(x, state[2], reset), state, reset)
        return self.out_proj(y_BTHK.reshape(x.shape)), state

    def step(self, x: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        modules = self._modules
        if self._packs and only_multiplies(modules["qkv_proj"]) and only_multiplies(modules["out_proj"]):
            parameters = self._parameters_of_step()
            if step_applies(self._sizes, self._shapes, parameters, x, state, reset):
                return kernel_step(self._sizes, parameters, x, state, reset)
        return self._step_in_parts(x, state, reset)

    def _step_in_parts(self, x: Tensor, state: State, reset: Tensor | None) -> tuple[Tensor, State]:
        if not self._packs:
            y, state = self.forward(x[:, None], state, None if reset is None else reset[:, None])
            return y[:, 0], state
        keys, values, age = state
        heads_B1HK = self._heads(x[:, None], age, None if reset is None else reset[:, None])
        qkv = heads_B1HK.view(len(x), 3, self.config.num_heads, self.head_dim)
        y_BHK, *state_after = windowed_attention_step(qkv, keys, values, age, reset, self._bias())
        return self.out_proj(y_BHK.view(x.shape)), tuple(state_after)

    def weights(self, x: Tensor, state: State | None, reset: Tensor | None = None) -> Tensor:
        """Return what ``forward``, with the same arguments, attends to: (B, T, H, L).

        The last axis counts steps back, from the step itself on, and sums to 1. L is the window, or without one the
        age of the oldest episode.
        """
        keys, _, age = self.initial_state(len(x)) if state is None else state
        H, G, T = self.config.num_heads, self.config.num_kv_heads, x.shape[1]
        q, k, _ = self._heads(x, age, reset).split((H, G, G), 2)
        starts_BT = episode_starts(age, reset, T)
        reach = self.config.window
        if reach is None:  # the same as a window that reaches before the first step
            reach = int(positions(starts_BT).max()) + 1
            keys = F.pad(keys, (0, 0, 0, 0, T - 1, 0))
        wide_k, wide_keys = self._for_all_heads(k), self._for_all_heads(keys)
        return _by_lag(_window_weights(q, wide_k, wide_keys, starts_BT, self._bias()))[..., :reach]

    def initial_state(self, batch: int) -> State:  # noqa: D102
        config, weight = self.config, self.out_proj.weight
        remembered = 0 if config.window is None else config.window - 1
        shape = (batch, remembered, config.num_kv_heads, self.head_dim)
        return (
            weight.new_zeros(shape),
            weight.new_zeros(shape),
            torch.zeros(batch, dtype=torch.long, device=weight.device),
        )

    def _parameters_of_step(self) -> list[Any]:
        return [*find_all(self, _PROJECTIONS), self._bias()]

    def _bias(self) -> Tensor | None:
        """What is added to the scores of every head and lag (H, W)."""
        scales: Any = self._buffers.get("lag_scales")
        return None if scales is None else find(self, "lag_bias") * scales

    def _heads(self, x: Tensor, age: Tensor, reset: Tensor | None) -> Tensor:
        """Queries, keys and values (B, T, H + 2 G, K), the first two turned if positions are rotary."""
        heads_BTHK = self.qkv_proj(x).unflatten(-1, (-1, self.head_dim))
        if self.config.position != "rope":
            return heads_BTHK
        position_BT = positions(episode_starts(age, reset, x.shape[1]))
        turned = self.config.num_heads + self.config.num_kv_heads
        q_and_k = rotate(heads_BTHK[:, :, :turned], position_BT, self.config.rope_base)
        return torch.cat((q_and_k, heads_BTHK[:, :, turned:]), 2)

    def _over_a_window(self, heads_BTHK: Tensor, state: State, reset: Tensor | None) -> tuple[Tensor, State]:
        keys, values, age = state
        (B, T), H = heads_BTHK.shape[:2], self.config.num_heads
        if self._packs:
            qkv = heads_BTHK.view(B, T, 3, H, self.head_dim)
            k, v, wide_keys, wide_values = qkv[:, :, 1], qkv[:, :, 2], keys, values
        else:
            # Repeating shared heads is cheaper than what does without: that compares all steps with all.
            q, k, v = heads_BTHK.split((H, self.config.num_kv_heads, self.config.num_kv_heads), 2)
            wide_k, wide_v, wide_keys, wide_values = (self._for_all_heads(part) for part in (k, v, keys, values))
            qkv = torch.stack((q, wide_k, wide_v), 2)
        y_BTHK, age = windowed_attention(qkv, wide_keys, wide_values, age, reset, self._bias())
        return y_BTHK, (_next_cache(keys, k), _next_cache(values, v), age)

    def _for_all_heads(self, shared: Tensor) -> Tensor:
        return shared.repeat_interleave(self.config.num_heads // self.config.num_kv_heads, 2)

    def _over_the_episode(self, heads_BTHK: Tensor, state: State, reset: Tensor | None) -> tuple[Tensor, State]:
        config = self.config
        q, k, v = heads_BTHK.split((config.num_heads, config.num_kv_heads, config.num_kv_heads), 2)
        keys, values = (torch.cat(pair, 1) for pair in ((state[0], k), (state[1], v)))
        starts_BT = episode_starts(state[2], reset, q.shape[1])
        y_BTHK = episode_attention(q, keys, values, starts_BT)
        age_B = age_after(starts_BT)
        kept = int(age_B.max())  # steps before the oldest running episode are forgotten here
        return y_BTHK, (_last(keys, kept), _last(values, kept), age_B)


def episode_attention(q: Tensor, keys: Tensor, values: Tensor, starts: Tensor) -> Tensor:
    """Attend from every step to all of its episode before it and to itself, with torch's own function.

    :param q: (B, T, H, K)
    :param keys: (B, S, G, K), the last T of them of the queries' steps
    :param values: (B, S, G, K)
    :param starts: (B, T) of ``episode_starts``
    :return: y (B, T, H, K)
    """
    T, S = q.shape[1], keys.shape[1]
    past_TS = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
    mask_B1TS = (same_episode(starts, S - T) & past_TS)[:, None]
    q, keys, values = (tensor.transpose(1, 2) for tensor in (q, keys, values))
    y_BHTK = F.scaled_dot_product_attention(q, keys, values, mask_B1TS, enable_gqa=q.shape[1] != keys.shape[1])
    return y_BHTK.transpose(1, 2)


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
    q_BTHK, k_BTHK, v_BTHK = qkv.unbind(2)
    starts_BT = episode_starts(age_B, reset_BT, qkv.shape[1])
    weights_BHTS = _window_weights(q_BTHK, k_BTHK, keys_BVHK, starts_BT, bias_HW)
    values_BHSK = torch.cat([values_BVHK, v_BTHK], 1).transpose(1, 2).to(qkv.dtype)
    y_BHTK = torch.matmul(weights_BHTS.to(qkv.dtype), values_BHSK)
    return y_BHTK.transpose(1, 2).contiguous(), age_after(starts_BT)


def _window_weights(
    q_BTHK: Tensor, k_BTHK: Tensor, keys_BVHK: Tensor, starts_BT: Tensor, bias_HW: Tensor | None
) -> Tensor:
    """The share (B, H, T, S) of every key in the attention of every step; arguments as of ``windowed_attention``."""
    (T, K), W = (q_BTHK.shape[1], q_BTHK.shape[-1]), keys_BVHK.shape[1] + 1
    wide = torch.promote_types(q_BTHK.dtype, torch.float32)  # of scores: half a precision has no room for the mask
    keys_BHSK = torch.cat([keys_BVHK, k_BTHK], 1).transpose(1, 2).to(q_BTHK.dtype)
    band_HTS = _band(q_BTHK.new_zeros(1, W, dtype=wide) if bias_HW is None else bias_HW.to(wide), T)
    mask_BHTS = band_HTS + torch.where(same_episode(starts_BT, W - 1), 0.0, MASKED)[:, None]
    scores_BHTS = torch.matmul(q_BTHK.transpose(1, 2) * K**-0.5, keys_BHSK.transpose(2, 3)) + mask_BHTS
    return scores_BHTS.softmax(-1)


def _by_lag(weights_BHTS: Tensor) -> Tensor:
    """The same weights by how many steps back a key is: (B, T, H, W), W - 1 being how many keys are remembered."""
    T, S = weights_BHTS.shape[2:]
    lag_W = torch.arange(S - T + 1, device=weights_BHTS.device)
    key_TW = torch.arange(S - T, S, device=weights_BHTS.device)[:, None] - lag_W
    return weights_BHTS.gather(3, key_TW.expand(*weights_BHTS.shape[:2], -1, -1)).transpose(1, 2)


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
    return _last(new_BTHK, V) if T >= V else torch.cat([cache_BVHK[:, T:], new_BTHK], 1)


def _last(steps: Tensor, count: int) -> Tensor:
    """The last steps of (B, T, ...), in memory of their own: a state that is kept must not keep its sequence."""
    return steps[:, steps.shape[1] - count :].clone(memory_format=torch.contiguous_format)


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
