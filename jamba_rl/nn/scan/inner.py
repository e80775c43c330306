"""The inner part of a Mamba layer: all between in_proj and out_proj.

Letters of the shape suffixes: B batch, T time, E channels, N state size per channel, R rank of dt, W width of the
filter, Q pairs of states that turn.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear, softplus

from jamba_rl.kernels.inner import InnerInputs, kernel_inner, of_states
from jamba_rl.kernels.library import kernels_apply, needs_grad
from jamba_rl.kernels.turn import Angles, angles_of, turned
from jamba_rl.nn.scan.check import check_inner
from jamba_rl.nn.scan.conv import causal_conv_silu
from jamba_rl.nn.scan.fused import mamba_scan, mamba_scan_step


class InnerWeights(NamedTuple):
    """The parameters of a Mamba layer between in_proj and out_proj, under their usual names.

    The three norms (of dt, B and C, as in Jamba) are there, or none of them is (as in Mamba). With ``angle_proj``,
    states n and n + Q of the first 2 Q are a pair, which the input turns (as in Mamba-3, see ``kernels/turn.py``), and
    which decays as one: K = N - Q, the first Q columns of A_log are those of pairs.
    """

    conv_weight: Tensor  # [E, W]
    conv_bias: Tensor | None  # [E]
    x_proj: Tensor  # [R + 2 N, E]
    dt_proj: Tensor  # [E, R]
    dt_bias: Tensor  # [E]
    A_log: Tensor  # [E, K]
    D: Tensor  # [E]
    dt_norm: Tensor | None = None  # [R]
    B_norm: Tensor | None = None  # [N]
    C_norm: Tensor | None = None  # [N]
    angle_proj: Tensor | None = None  # [Q, E]
    eps: float = 1e-6


def mamba_inner(
    xz: Tensor,
    weights: InnerWeights,
    conv_state: Tensor | None = None,
    ssm_state: Tensor | None = None,
    reset: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run a Mamba layer between its outer projections (Gu & Dao 2023, section 3.4; norms: Lieber et al. 2024, Jamba).

    ``x, z = xz``; ``x = causal_conv_silu(x)``; ``dt, B, C = norms(x_proj(x))``; ``y = mamba_scan(x, z, dt_proj(dt),
    ..., B, C, ...)``, where pairs of states turn by ``pi tanh(angle_proj(x) / 2)`` before they decay.

    Args:
        xz: output of in_proj, ``[B,T,2E]``, or of one step ``[B,2E]``.
        weights: the parameters.
        conv_state: ``[B,W-1,E]``, or None for zeros.
        ssm_state: ``[B,E,N]``, or None for zeros.
        reset: bool ``[B,T]`` (``[B]`` for one step), true at the first step of a new episode, or None.

    Returns:
        y ``[B,T,E]`` (``[B,E]``) for out_proj, in the type of xz, and the new conv_state and ssm_state, in float32
        (float64 for float64 input).

    Raises:
        ValueError: the shapes, types or devices do not fit each other.
    """
    if torch.compiler.is_dynamo_compiling():  # as in run_scan
        return torch.compiler.disable(mamba_inner)(xz, weights, conv_state, ssm_state, reset)
    inputs = _inputs(xz, weights, conv_state, ssm_state, reset)
    plain = check_inner(inputs)
    if plain and kernels_apply(xz) and (xz.dim() == 3 or not needs_grad(inputs[:14])):
        return kernel_inner(inputs)
    return composed_inner(inputs)


def mamba_decay(
    xz: Tensor, weights: InnerWeights, conv_state: Tensor | None = None, reset: Tensor | None = None
) -> Tensor:
    """Return how much of each state :func:`mamba_inner` keeps at each step, ``exp(dt A)``; nothing at a reset.

    Args:
        xz: output of in_proj, ``[B,T,2E]``.
        weights: the parameters.
        conv_state: ``[B,W-1,E]``, or None for zeros.
        reset: bool ``[B,T]``, true at the first step of a new episode, or None.

    Returns:
        ``[B,T,E,N]``, from 0 to 1, in float32 (float64 for float64 input).
    """
    _, dt_BTE, *_ = _select(_inputs(xz, weights, conv_state, None, reset))
    wide = torch.promote_types(xz.dtype, torch.float32)
    dt_BTE = softplus(dt_BTE.to(wide) + weights.dt_bias.to(wide))
    A_log_EN = of_states(weights.A_log, weights.angle_proj)
    decay_BTEN = torch.exp(-dt_BTE[..., None] * A_log_EN.to(wide).exp())
    return decay_BTEN if reset is None else decay_BTEN.masked_fill(reset[..., None, None], 0.0)


def composed_inner(i: InnerInputs) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same as :func:`mamba_inner` from its parts, each with the implementation that applies."""
    A_log_EN = of_states(i.A_log_EK, i.angle_proj_QE)
    E, N = A_log_EN.shape
    x_BTE, dt_BTE, B_BTN, C_BTN, conv_state_BVE = _select(i)
    angles = None
    if i.angle_proj_QE is not None:
        angles = angles_of(_with_time(_wide(linear(x_BTE, i.angle_proj_QE))))
        B_BTN, C_BTN = (_turned_back(rows, angles) for rows in (B_BTN, C_BTN))
    sequence = (x_BTE, i.xz_BTF[..., E:], dt_BTE, i.dt_bias_E, A_log_EN, B_BTN, C_BTN, i.D_E)
    if i.xz_BTF.dim() == 3:
        y_BTE, ssm_state_BEN = mamba_scan(*sequence, i.reset_BT, i.ssm_state_BEN)
    else:
        state_BEN = i.ssm_state_BEN
        if state_BEN is None:
            state_BEN = torch.zeros_like(A_log_EN).expand(i.xz_BTF.shape[0], E, N)
        y_BTE, ssm_state_BEN = mamba_scan_step(*sequence, state_BEN, i.reset_BT)
    if angles is not None:
        ssm_state_BEN = turned(ssm_state_BEN, *(angle_BTQ[:, -1:] for angle_BTQ in angles))
    return y_BTE, conv_state_BVE, ssm_state_BEN


def _inputs(
    xz: Tensor, w: InnerWeights, conv_state: Tensor | None, ssm_state: Tensor | None, reset: Tensor | None
) -> InnerInputs:
    before_norms = (w.conv_weight, w.conv_bias, w.x_proj, w.angle_proj)
    norms = (w.dt_norm, w.B_norm, w.C_norm)
    return InnerInputs(
        xz, *before_norms, *norms, w.dt_proj, w.dt_bias, w.A_log, w.D, conv_state, ssm_state, reset, w.eps
    )


def _select(i: InnerInputs) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What the scan reads (x, dt without its bias, B, C), and the new conv_state."""
    E, R = i.dt_proj_ER.shape
    N = (i.x_proj_PE.shape[0] - R) // 2
    x_BTE, conv_state_BVE = causal_conv_silu(
        i.xz_BTF[..., :E], i.conv_weight_EW, i.conv_bias_E, i.conv_state_BVE, i.reset_BT
    )
    parts = linear(x_BTE, i.x_proj_PE).split([R, N, N], -1)
    norms = (i.dt_norm_R, i.B_norm_N, i.C_norm_N)
    dt_BTR, B_BTN, C_BTN = (_rms_norm(part, norm, i.eps) for part, norm in zip(parts, norms, strict=True))
    return x_BTE, linear(dt_BTR, i.dt_proj_ER), B_BTN, C_BTN, conv_state_BVE


def _turned_back(rows: Tensor, angles: Angles) -> Tensor:
    """B or C of all steps, turned back by the angles so far; a single step has no time axis."""
    cos_BTQ, sin_BTQ = angles
    return turned(_with_time(rows), cos_BTQ, -sin_BTQ).view_as(rows).to(rows.dtype)


def _with_time(rows: Tensor) -> Tensor:
    return rows if rows.dim() == 3 else rows[:, None]


def _rms_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    if weight is None:
        return x
    wide = _wide(x)
    return weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype)


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype is torch.float64 else x.float()
