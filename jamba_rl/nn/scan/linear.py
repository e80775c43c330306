"""The selective scan in torch operations, linear in time: any device, any float type, no compiler.

Autograd through the loop of ``reference.py`` costs several small nodes per step. Here the loop does one
``addcmul`` per step into a preallocated, time-major buffer, in both directions, and everything else is a few large
operations; the backward formulas are written out below.

Letters of the shape suffixes: B batch, T time, E channels, N state size per channel.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def linear_scan(
    x_BTE: Tensor,
    dt_BTE: Tensor,
    A_EN: Tensor,
    B_BTN: Tensor,
    C_BTN: Tensor,
    D_E: Tensor | None = None,
    reset_BT: Tensor | None = None,
    initial_state_BEN: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return ``(y [B,T,E], final_state [B,E,N])``; the same function as ``reference_scan``, differentiable once."""
    if initial_state_BEN is None:
        initial_state_BEN = x_BTE.new_zeros(x_BTE.shape[0], x_BTE.shape[2], A_EN.shape[1])
    if reset_BT is not None:
        # Also what autograd sees: no gradient crosses the first step's reset either.
        initial_state_BEN = initial_state_BEN.masked_fill(reset_BT[:, 0, None, None], 0.0)
    y_BTE, final_BEN = _LinearScan.apply(x_BTE, dt_BTE, A_EN, B_BTN, C_BTN, reset_BT, initial_state_BEN)
    return (y_BTE if D_E is None else torch.addcmul(y_BTE, x_BTE, D_E)), final_BEN


def _decay(dt_BTE: Tensor, A_EN: Tensor) -> Tensor:
    return (dt_BTE.transpose(0, 1).unsqueeze(3) * A_EN).exp_()


def _resets(reset_BT: Tensor | None, time: int) -> list[Tensor | None]:
    """Return the rows that start over ``[B,1,1]`` at each step, None where none does: most steps cost nothing more."""
    if reset_BT is None:
        return [None] * time
    rows_TB11 = reset_BT.t()[:, :, None, None]
    return [rows if some else None for rows, some in zip(rows_TB11.unbind(0), reset_BT.any(0).tolist(), strict=True)]


class _LinearScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_BTE: Tensor,
        dt_BTE: Tensor,
        A_EN: Tensor,
        B_BTN: Tensor,
        C_BTN: Tensor,
        reset_BT: Tensor | None,
        initial_BEN: Tensor,
    ) -> tuple[Tensor, Tensor]:
        decay_TBEN = _decay(dt_BTE, A_EN)
        # The input of each step becomes, in place, the state after it.
        h_TBEN = (dt_BTE * x_BTE).transpose(0, 1).unsqueeze(3) * B_BTN.transpose(0, 1).unsqueeze(2)
        previous_BEN = initial_BEN
        resets = _resets(reset_BT, len(h_TBEN))
        for decay_BEN, h_BEN, reset_B11 in zip(decay_TBEN.unbind(0), h_TBEN.unbind(0), resets, strict=True):
            if reset_B11 is not None:  # a state that is not finite would survive a product with zero
                previous_BEN = previous_BEN.masked_fill(reset_B11, 0.0)
            previous_BEN = h_BEN.addcmul_(decay_BEN, previous_BEN)
        y_TBE = torch.matmul(h_TBEN, C_BTN.transpose(0, 1).unsqueeze(3)).squeeze(3)
        ctx.save_for_backward(x_BTE, dt_BTE, A_EN, B_BTN, C_BTN, reset_BT, initial_BEN, h_TBEN)
        # The exponentials are computed again in the backward pass: as large as the states, and cheaper than memory.
        return y_TBE.transpose(0, 1).contiguous(), previous_BEN.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BTE: Tensor, dfinal_BEN: Tensor) -> tuple[Tensor | None, ...]:
        """Reverse the recurrence: ``dh_t = C_t dy_t + a_{t+1} dh_{t+1}``, then gradients as large operations."""
        x_BTE, dt_BTE, A_EN, B_BTN, C_BTN, reset_BT, initial_BEN, h_TBEN = ctx.saved_tensors
        dy_TBE, x_TBE, dt_TBE = dy_BTE.transpose(0, 1), x_BTE.transpose(0, 1), dt_BTE.transpose(0, 1)
        B_TBN, C_TBN = B_BTN.transpose(0, 1), C_BTN.transpose(0, 1)
        decay_TBEN = _decay(dt_BTE, A_EN)

        dh_TBEN = dy_TBE.unsqueeze(3) * C_TBN.unsqueeze(2)
        dh_TBEN[-1] += dfinal_BEN
        decays, dhs, resets = decay_TBEN.unbind(0), dh_TBEN.unbind(0), _resets(reset_BT, len(dh_TBEN))
        for t in range(len(dhs) - 2, -1, -1):
            after_BEN, reset_B11 = dhs[t + 1], resets[t + 1]
            if reset_B11 is not None:
                after_BEN = after_BEN.masked_fill(reset_B11, 0.0)
            dhs[t].addcmul_(decays[t + 1], after_BEN)
        dinitial_BEN = decays[0] * dhs[0]

        dB_BTN = torch.matmul((dt_TBE * x_TBE).unsqueeze(2), dh_TBEN).squeeze(2).transpose(0, 1)
        dC_BTN = torch.matmul(dy_TBE.unsqueeze(2), h_TBEN).squeeze(2).transpose(0, 1)
        dinput_TBE = torch.matmul(dh_TBEN, B_TBN.unsqueeze(3)).squeeze(3)  # gradient of dt x

        # dh_t a_t h_{t-1} = d(dt_t A), in the memory of the decays.
        dlog_TBEN = decay_TBEN.mul_(dh_TBEN)
        dlog_TBEN[0] *= initial_BEN
        dlog_TBEN[1:] *= h_TBEN[:-1]
        for dlog_BEN, reset_B11 in zip(dlog_TBEN.unbind(0), resets, strict=True):
            if reset_B11 is not None:
                dlog_BEN.masked_fill_(reset_B11, 0.0)
        dA_EN = (dlog_TBEN * dt_TBE.unsqueeze(3)).sum((0, 1))
        ddt_TBE = torch.addcmul((dlog_TBEN * A_EN).sum(3), dinput_TBE, x_TBE)
        dx_TBE = dinput_TBE * dt_TBE
        return dx_TBE.transpose(0, 1), ddt_TBE.transpose(0, 1), dA_EN, dB_BTN, dC_BTN, None, dinitial_BEN
