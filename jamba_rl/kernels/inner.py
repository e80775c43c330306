"""The inner part of a Mamba layer on a CPU as one function that autograd knows.

Convolution, x_proj, norms, dt_proj and scan, one after the other, and their gradients written out: what a small layer
spends in autograd between them would be as much as in the scan, and here the gradients of x and z, and those of dt, B
and C, are written side by side where the next product reads them.

Letters of the shape suffixes: B batch, T time, E channels, N state size per channel, R rank of dt, W width of the
filter, V = W - 1, M = B T rows, P = R + 2 N, Q pairs of states that turn (``turn.py``).
"""

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jamba_rl.kernels.conv import ConvGradients, ConvInputs, conv_backward, conv_forward
from jamba_rl.kernels.library import like, needs_grad, rows
from jamba_rl.kernels.norm import norm_backward, norm_forward
from jamba_rl.kernels.scan import ScanGradients, ScanInputs, ScanResults, scan_backward, scan_forward
from jamba_rl.kernels.turn import turn_rows, turn_rows_backward, turn_states, turn_states_backward


class InnerInputs(NamedTuple):
    """What the inner part reads: float32, on the CPU. Without the time axis it is one step."""

    xz_BTF: Tensor  # F = 2 E: x, then z
    conv_weight_EW: Tensor
    conv_bias_E: Tensor | None
    x_proj_PE: Tensor
    angle_proj_QE: Tensor | None  # None where no states turn
    dt_norm_R: Tensor | None  # the three norms are there, or none
    B_norm_N: Tensor | None
    C_norm_N: Tensor | None
    dt_proj_ER: Tensor
    dt_bias_E: Tensor
    A_log_EK: Tensor  # K = N - Q: the states of a pair decay as one
    D_E: Tensor
    conv_state_BVE: Tensor | None
    ssm_state_BEN: Tensor | None
    reset_BT: Tensor | None
    eps: float


class _Turn(NamedTuple):
    """What angle_proj gives, and the angles of all steps."""

    projected_BTQ: Tensor
    cos_BTQ: Tensor
    sin_BTQ: Tensor


class _Pass(NamedTuple):
    """What the steps between the two kernels make; with as many decays as states."""

    x_BTE: Tensor
    projected_MP: Tensor
    normed_MP: Tensor  # the same tensor where there are no norms; B and C turned
    dt_BTE: Tensor
    A_log_EN: Tensor
    turn: _Turn | None


def kernel_inner(inputs: InnerInputs) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``(y [B,T,E], conv_state [B,V,E], ssm_state [B,E,N])``, or of one step, without a graph, ``[B,E]`` ..."""
    if needs_grad(inputs[:14]):
        y, conv_state_BVE, ssm_state_BEN = _KernelInner.apply(*inputs)
        return y, conv_state_BVE, ssm_state_BEN
    inputs = _laid_out(inputs)
    between, new_conv_BVE = _until_scan(inputs)
    results = _scan(inputs, between, keep=False)
    return results.y_BTE, new_conv_BVE, results.final_BEN


def of_states(A_log_EK: Tensor, angle_proj_QE: Tensor | None) -> Tensor:
    """Return A_log with a column for every state ``[E,N]``, those of pairs twice."""
    return A_log_EK if angle_proj_QE is None else torch.cat([A_log_EK[:, : len(angle_proj_QE)], A_log_EK], 1)


def _laid_out(inputs: InnerInputs) -> InnerInputs:
    weights = [None if weight is None else weight.contiguous() for weight in inputs[1:12]]
    conv_state = None if inputs.conv_state_BVE is None else rows(inputs.conv_state_BVE)
    ssm_state = None if inputs.ssm_state_BEN is None else inputs.ssm_state_BEN.contiguous()
    return InnerInputs._make([rows(inputs.xz_BTF), *weights, conv_state, ssm_state, *inputs[14:]])


def _until_scan(i: InnerInputs) -> tuple[_Pass, Tensor]:
    E, R = i.dt_proj_ER.shape
    x_BTE, new_conv_BVE = conv_forward(_conv_inputs(i))
    projected_MP = _product(x_BTE.view(-1, E), i.x_proj_PE.t())
    normed_MP = projected_MP if i.dt_norm_R is None else norm_forward(projected_MP, _norms(i), i.eps)
    dt_ME = _product(normed_MP.narrow(1, 0, R), i.dt_proj_ER.t())
    A_log_EN, turn = of_states(i.A_log_EK, i.angle_proj_QE), None
    if i.angle_proj_QE is not None:
        projected_MQ = _product(x_BTE.view(-1, E), i.angle_proj_QE.t())
        projected_BTQ = projected_MQ.view(x_BTE.shape[0], -1, projected_MQ.shape[1])
        turn = _Turn(projected_BTQ, *turn_rows(projected_BTQ, *_B_and_C(normed_MP, R)))
    return _Pass(x_BTE, projected_MP, normed_MP, dt_ME.view(x_BTE.shape), A_log_EN, turn), new_conv_BVE


def _scan(i: InnerInputs, between: _Pass, keep: bool) -> ScanResults:
    results = scan_forward(_scan_inputs(i, between), keep)
    if between.turn is not None:
        turn_states(results.final_BEN, between.turn[1:])
    return results


def _B_and_C(normed_MP: Tensor, R: int) -> tuple[Tensor, Tensor]:
    N = (normed_MP.shape[1] - R) // 2
    return normed_MP.narrow(1, R, N), normed_MP.narrow(1, R + N, N)


def _conv_inputs(i: InnerInputs) -> ConvInputs:
    x_BTE = i.xz_BTF.narrow(-1, 0, i.D_E.shape[0])
    return ConvInputs(x_BTE, i.conv_weight_EW, i.conv_bias_E, i.conv_state_BVE, i.reset_BT)


def _scan_inputs(i: InnerInputs, between: _Pass) -> ScanInputs:
    """Return what the scan reads, or, given gradients, where those go: z, B and C are parts of larger tensors."""
    x_BTE, _, normed_MP, dt_BTE, A_log_EN, _ = between
    E, R = i.dt_proj_ER.shape
    z_BTE = i.xz_BTF.narrow(-1, E, E)
    B_BTN, C_BTN = (rows_MN.view(*x_BTE.shape[:-1], -1) for rows_MN in _B_and_C(normed_MP, R))
    parameters = (i.D_E, z_BTE, i.dt_bias_E, i.ssm_state_BEN)
    return ScanInputs(x_BTE, dt_BTE, A_log_EN, B_BTN, C_BTN, *parameters, i.reset_BT, True, True)


def _norms(i: InnerInputs) -> tuple[Tensor, Tensor, Tensor]:
    return cast(tuple[Tensor, Tensor, Tensor], i[5:8])


def _product(a: Tensor, b: Tensor) -> Tensor:
    # With `out`, autocast leaves the product in float32, which is what the kernels read.
    return torch.mm(a, b, out=a.new_empty(a.shape[0], b.shape[1]))


class _KernelInner(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, Tensor, Tensor]:
        inputs = _laid_out(InnerInputs(*args))
        between, new_conv_BVE = _until_scan(inputs)
        results = _scan(inputs, between, keep=True)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs[:15], *between[:5], *results[1:], *(between.turn or ()))
        ctx.eps = inputs.eps
        return results.y_BTE, new_conv_BVE, results.final_BEN

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, dy: Tensor | None, dnew_conv: Tensor | None, dfinal: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        i, (final_BEN, *kept), turn = InnerInputs._make([*saved[:15], ctx.eps]), saved[20:23], saved[23:]
        between = _Pass._make([*saved[15:20], _Turn._make(turn) if turn else None])
        conv_state = like(i.conv_state_BVE) if ctx.needs_input_grad[12] else None
        ssm_state = like(i.ssm_state_BEN) if ctx.needs_input_grad[13] else None
        d = InnerInputs._make([*map(like, i[:12]), conv_state, ssm_state, None, 0.0])
        dy = torch.zeros_like(between.x_BTE) if dy is None else rows(dy)
        dfinal, dlast_BQ = _final_backward(between.turn, final_BEN, dfinal)
        dA_log_EN = d.A_log_EK if between.turn is None else torch.empty_like(between.A_log_EN)
        d_between = _Pass._make([*map(torch.empty_like, between[:4]), dA_log_EN, None])
        gradients = ScanGradients._make(_scan_inputs(d, d_between)[:9])
        scan_backward(_scan_inputs(i, between), ScanResults(dy, dy, *kept), dy, dfinal, gradients)
        if between.turn is not None:
            _turn_backward(i, between, between.turn, dlast_BQ, d, d_between)
        dnorms = _products_backward(i, between, d, d_between)
        dconv = ConvGradients._make(_conv_inputs(d)[:4])
        conv_backward(_conv_inputs(i), d_between.x_BTE, None if dnew_conv is None else rows(dnew_conv), dconv)
        return *d[:5], *dnorms, *d[8:14], None, None


def _final_backward(
    turn: _Turn | None, final_BEN: Tensor, dfinal: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradient of the final state before it was turned, and that of its angles ``[B,Q]``."""
    if dfinal is None or turn is None:
        return None if dfinal is None else dfinal.contiguous(), None
    dfinal = dfinal.clone(memory_format=torch.contiguous_format)
    return dfinal, turn_states_backward(final_BEN, turn[1:], dfinal)


def _turn_backward(
    i: InnerInputs, between: _Pass, turn: _Turn, dlast_BQ: Tensor | None, d: InnerInputs, d_between: _Pass
) -> None:
    """Go back through angles and pairs: add to the gradient of x, write those of A_log and angle_proj."""
    (E, R), Q, dA_log_EN = i.dt_proj_ER.shape, turn.cos_BTQ.shape[-1], d_between.A_log_EN
    d.A_log_EK.copy_(dA_log_EN[:, Q:])
    d.A_log_EK[:, :Q] += dA_log_EN[:, :Q]
    rows_MN, drows_MN = _B_and_C(between.normed_MP, R), _B_and_C(d_between.normed_MP, R)
    dprojected_BTQ = turn_rows_backward(turn.projected_BTQ, turn[1:], rows_MN, drows_MN, dlast_BQ)
    dprojected_MQ = dprojected_BTQ.view(-1, Q)
    d.angle_proj_QE.copy_(_product(dprojected_MQ.t(), between.x_BTE.view(-1, E)))  # type: ignore[union-attr]
    d_between.x_BTE.view(-1, E).addmm_(dprojected_MQ, i.angle_proj_QE)  # type: ignore[arg-type]


def _products_backward(i: InnerInputs, between: _Pass, d: InnerInputs, d_between: _Pass) -> tuple[Tensor | None, ...]:
    """Go back through dt_proj, norms and x_proj: add to the gradient of x, write those of the weights."""
    E, R = i.dt_proj_ER.shape
    x_ME, dx_ME, ddt_ME = between.x_BTE.view(-1, E), d_between.x_BTE.view(-1, E), d_between.dt_BTE.view(-1, E)
    dnorms: tuple[Tensor | None, ...] = (None, None, None)
    dprojected_MP = d_between.normed_MP
    # Both turned round: BLAS is several times slower where the short side R is the last of the result.
    dprojected_MP.narrow(1, 0, R).copy_(_product(i.dt_proj_ER.t(), ddt_ME.t()).t())
    d.dt_proj_ER.copy_(_product(between.normed_MP.narrow(1, 0, R).t(), ddt_ME).t())
    if i.dt_norm_R is not None:
        dprojected_MP, dnorms = norm_backward(between.projected_MP, _norms(i), i.eps, dprojected_MP)
    torch.mm(dprojected_MP.t(), x_ME, out=d.x_proj_PE)
    dx_ME.addmm_(dprojected_MP, i.x_proj_PE)
    return dnorms
