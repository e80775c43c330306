"""Turning pairs of states: what the input does to a complex-valued memory, in real numbers.

A pair of states is a point of the plane. If every step turns it by an angle before it decays, h_t = a_t R(theta_t)
h_{t-1} + B_t x_t, then in a frame that turns along, by Theta_t = theta_1 + ... + theta_t, nothing turns: for h_t =
R(Theta_t) g_t the scan is that of g, R(-Theta_t) B_t and R(-Theta_t) C_t (Lahoti et al. 2026, Mamba-3, arXiv
2603.15569: rotary embeddings that depend on the data). Only angles between two steps of an episode count: no reset of
Theta is needed.

Letters of the shape suffixes: B batch, T time, E channels, N state size per channel, Q pairs, which are states n and
n + Q of the first 2 Q.
"""

import math
import struct

import torch
from torch import Tensor

from jamba_rl.kernels.library import address, call, kernels

# An angle turns all that was remembered before, and Adam moves every weight by its learning rate: with a factor of 1
# agents on `halfcheetah` lose what others reach, with a fifth few learn parity in time. With a half both work.
CALM = 0.5
_ROWS = struct.Struct("13q")
_STATES = struct.Struct("10q")

Angles = tuple[Tensor, Tensor]  # cosines and sines of Theta


def angles_of(projected_BTQ: Tensor) -> Angles:
    """Return Theta of every step: the sums of ``pi tanh(CALM projected)`` over the steps so far."""
    share_BTQ = torch.tanh(CALM * projected_BTQ)
    # in float64, where a sequence and its parts agree however long it is
    angle_BTQ = (math.pi * share_BTQ.double()).cumsum(1)
    return angle_BTQ.cos().to(share_BTQ.dtype), angle_BTQ.sin().to(share_BTQ.dtype)


def turned(pairs: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return states (..., N), or rows of B or C, with their pairs turned by angles (..., Q)."""
    Q = cos.shape[-1]
    first, second, rest = pairs.split([Q, Q, pairs.shape[-1] - 2 * Q], -1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos, rest], -1)


def turn_rows(projected_BTQ: Tensor, B_MN: Tensor, C_MN: Tensor) -> Angles:
    """Turn the rows of B and C back by Theta, in place; all by a kernel, without a graph, as all that follows."""
    cos_BTQ, sin_BTQ = torch.empty_like(projected_BTQ), torch.empty_like(projected_BTQ)
    addresses = (projected_BTQ, cos_BTQ, sin_BTQ, B_MN, C_MN, None, None, None, None)
    call(kernels().turn_rows, _ROWS.pack(*projected_BTQ.shape, B_MN.stride(0), *map(address, addresses)))
    return cos_BTQ, sin_BTQ


def turn_rows_backward(
    projected_BTQ: Tensor, angles: Angles, B_and_C: Angles, dB_and_dC: Angles, dlast_BQ: Tensor | None
) -> Tensor:
    """Return the gradient of what was projected, and replace those of turned rows by those of rows.

    ``dlast_BQ`` is the gradient of Theta of the last step from elsewhere.
    """
    dprojected_BTQ = torch.empty_like(projected_BTQ)
    addresses = (projected_BTQ, *angles, *B_and_C, *dB_and_dC, dlast_BQ, dprojected_BTQ)
    packed = _ROWS.pack(*projected_BTQ.shape, B_and_C[0].stride(0), *map(address, addresses))
    call(kernels().turn_rows_backward, packed)
    return dprojected_BTQ


def turn_states(state_BEN: Tensor, angles: Angles) -> None:
    """Turn states by Theta of the last step, in place."""
    call(kernels().turn_states, _pack_states(state_BEN, angles, None, None))


def turn_states_backward(state_BEN: Tensor, angles: Angles, dstate_BEN: Tensor) -> Tensor:
    """Return the gradient ``[B,Q]`` of Theta of the last step, and turn that of turned states back, in place."""
    B, _, Q = angles[0].shape
    dangle_BQ = state_BEN.new_empty(B, Q)
    call(kernels().turn_states_backward, _pack_states(state_BEN, angles, dstate_BEN, dangle_BQ))
    return dangle_BQ


def _pack_states(state_BEN: Tensor, angles: Angles, *gradients: Tensor | None) -> bytes:
    _, T, Q = angles[0].shape
    last = 4 * (T - 1) * Q  # bytes before the last step
    addresses = [angle.data_ptr() + last for angle in angles]
    return _STATES.pack(*state_BEN.shape, Q, T * Q, *addresses, state_BEN.data_ptr(), *map(address, gradients))
