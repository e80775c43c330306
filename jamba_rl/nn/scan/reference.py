"""The selective scan as a plain loop: slow, short, and what every other form is compared with.

The recurrence is equation 2 of Gu & Dao 2023 (Mamba) with the discretisation of its reference code
(zero-order hold for A, Euler for B), plus resets.

Letters of the shape suffixes: B batch, T time, E channels, N state size per channel.
"""

import torch
from torch import Tensor


def reference_scan(
    x_BTE: Tensor,
    dt_BTE: Tensor,
    A_EN: Tensor,
    B_BTN: Tensor,
    C_BTN: Tensor,
    D_E: Tensor | None = None,
    reset_BT: Tensor | None = None,
    initial_state_BEN: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return ``(y [B,T,E], final_state [B,E,N])``, one step after the other, any dtype, differentiable twice.

    ``h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t`` and ``y_t = h_t C_t + D x_t``; ``h_{t-1}`` is zero where
    ``reset_t``.
    """
    batch, _, channels = x_BTE.shape
    state_BEN = initial_state_BEN
    if state_BEN is None:
        state_BEN = x_BTE.new_zeros(batch, channels, A_EN.shape[1])
    resets = [None] * x_BTE.shape[1] if reset_BT is None else reset_BT.unbind(1)
    ys = []
    # unbind, not x[:, t]: the backward of an index writes a zero tensor of the full length at every step.
    for x_BE, dt_BE, B_BN, C_BN, reset_B in zip(
        x_BTE.unbind(1), dt_BTE.unbind(1), B_BTN.unbind(1), C_BTN.unbind(1), resets, strict=True
    ):
        y_BE, state_BEN = reference_step(x_BE, dt_BE, A_EN, B_BN, C_BN, D_E, state_BEN, reset_B)
        ys.append(y_BE)
    return torch.stack(ys, 1), state_BEN


def reference_step(
    x_BE: Tensor,
    dt_BE: Tensor,
    A_EN: Tensor,
    B_BN: Tensor,
    C_BN: Tensor,
    D_E: Tensor | None,
    state_BEN: Tensor,
    reset_B: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return ``(y [B,E], state [B,E,N])`` of one step of :func:`reference_scan`."""
    if reset_B is not None:
        # masked_fill, not a product with zero: a state that is not finite must be forgotten as well.
        state_BEN = state_BEN.masked_fill(reset_B[:, None, None], 0.0)
    decay_BEN = torch.exp(dt_BE.unsqueeze(2) * A_EN)
    state_BEN = torch.addcmul(decay_BEN * state_BEN, (dt_BE * x_BE).unsqueeze(2), B_BN.unsqueeze(1))
    y_BE = torch.bmm(state_BEN, C_BN.unsqueeze(2)).squeeze(2)
    return (y_BE if D_E is None else torch.addcmul(y_BE, x_BE, D_E)), state_BEN
