"""The causal convolution of a Mamba layer, with its bias and SiLU, carried from chunk to chunk.

Letters of the shape suffixes: B batch, T time, E channels, W width of the filter, V = W - 1.
"""

import torch
from torch import Tensor
from torch.nn.functional import silu

from jamba_rl.kernels.conv import ConvInputs, kernel_conv
from jamba_rl.kernels.library import kernels_apply
from jamba_rl.nn.scan.check import check_conv


def causal_conv_silu(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    conv_state: Tensor | None = None,
    reset: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Convolve every channel with its own filter over the present and the last ``W - 1`` inputs, then apply SiLU.

    ``y_t = silu(bias + sum_j weight[:, W-1-j] x_{t-j})`` (Gu & Dao 2023, figure 3), where the input at lag j counts
    only if no reset lies between.

    Args:
        x: ``[B,T,E]``, or one step ``[B,E]``.
        weight: ``[E,W]``; the last column belongs to the present input.
        bias: ``[E]`` or None.
        conv_state: the ``W - 1`` inputs before the first, ``[B,W-1,E]``, oldest first, or None for zeros.
        reset: bool ``[B,T]`` (``[B]`` for one step), true at the first step of a new episode, or None.

    Returns:
        y, like x, and the new conv_state ``[B,W-1,E]``, in which inputs of earlier episodes are zero, in float32
        (float64 for float64 input).

    Raises:
        ValueError: the shapes, types or devices do not fit each other.
    """
    check_conv(x, weight, bias, conv_state, reset)
    if x.dtype is torch.float32 and kernels_apply(x):
        return kernel_conv(ConvInputs(x, weight, bias, conv_state, reset))
    return torch_conv(x, weight, bias, conv_state, reset)


def torch_conv(
    x: Tensor,
    weight_EW: Tensor,
    bias_E: Tensor | None = None,
    state_BVE: Tensor | None = None,
    reset: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the same as :func:`causal_conv_silu` in torch operations, for any device and float type."""
    if x.dim() == 2:
        y_BTE, new_BVE = torch_conv(x[:, None], weight_EW, bias_E, state_BVE, None if reset is None else reset[:, None])
        return y_BTE[:, 0], new_BVE
    (batch, time, channels), lags = x.shape, weight_EW.shape[1] - 1
    if state_BVE is None:
        state_BVE = x.new_zeros(batch, lags, channels)
    padded = torch.cat([state_BVE.to(x.dtype), x], 1)
    # The episode of every input, counted within the chunk; the state belongs to number 0.
    episode = None if reset is None else torch.nn.functional.pad(reset.cumsum(1), (lags, 0))
    u_BTE = x * weight_EW[:, lags] if bias_E is None else torch.addcmul(bias_E, x, weight_EW[:, lags])
    for lag in range(1, lags + 1):
        earlier_BTE = padded[:, lags - lag : lags - lag + time]
        if episode is not None:
            other_BT = episode[:, lags - lag : lags - lag + time] != episode[:, lags:]
            earlier_BTE = earlier_BTE.masked_fill(other_BT[:, :, None], 0.0)
        u_BTE = torch.addcmul(u_BTE, earlier_BTE, weight_EW[:, lags - lag])
    new_BVE = padded[:, time:]
    if episode is not None:
        new_BVE = new_BVE.masked_fill((episode[:, time:] != episode[:, -1:])[:, :, None], 0.0)
    return silu(u_BTE).to(x.dtype), (new_BVE if x.dtype is torch.float64 else new_BVE.float())
