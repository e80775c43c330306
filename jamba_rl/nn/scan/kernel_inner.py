"""The inner part of a Mamba layer on a CPU as one function that autograd knows.

Convolution, x_proj, norms, dt_proj and scan, one after the other, and their gradients written out: what a small layer
spends in autograd between them would be as much as in the scan, and here the gradients of x and z, and those of dt, B
and C, are written side by side where the next product reads them.

Letters of the shape suffixes: B batch, T time, E channels, N state size per channel, R rank of dt, W width of the
filter, V = W - 1, M = B T rows, P = R + 2 N.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jamba_rl.nn.scan.kernel import like, needs_grad, rows
from jamba_rl.nn.scan.kernel_conv import ConvGradients, ConvInputs, conv_backward, conv_forward
from jamba_rl.nn.scan.kernel_norm import norm_backward, norm_forward
from jamba_rl.nn.scan.kernel_scan import ScanGradients, ScanInputs, ScanResults, scan_backward, scan_forward


class InnerInputs(NamedTuple):
    """What the inner part reads: float32, on the CPU. Without the time axis it is one step."""

    xz_BTF: Tensor  # F = 2 E: x, then z
    conv_weight_EW: Tensor
    conv_bias_E: Tensor | None
    x_proj_PE: Tensor
    dt_norm_R: Tensor | None  # the three norms are there, or none
    B_norm_N: Tensor | None
    C_norm_N: Tensor | None
    dt_proj_ER: Tensor
    dt_bias_E: Tensor
    A_log_EN: Tensor
    D_E: Tensor
    conv_state_BVE: Tensor | None
    ssm_state_BEN: Tensor | None
    reset_BT: Tensor | None
    eps: float


class _Pass(NamedTuple):
    """A forward pass: what the kernels read, and the products between them."""

    conv: ConvInputs
    new_conv_BVE: Tensor
    projected_MP: Tensor
    normed_MP: Tensor  # the same tensor where there are no norms
    scan: ScanInputs


def kernel_inner(inputs: InnerInputs) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``(y [B,T,E], conv_state [B,V,E], ssm_state [B,E,N])``, or of one step, without a graph, ``[B,E]`` ..."""
    if needs_grad(inputs[:13]):
        y, conv_state_BVE, ssm_state_BEN = _KernelInner.apply(*inputs)
        return y, conv_state_BVE, ssm_state_BEN
    forward = _until_scan(_laid_out(inputs))
    results = scan_forward(forward.scan, keep=False)
    return results.y_BTE, forward.new_conv_BVE, results.final_BEN


def _laid_out(inputs: InnerInputs) -> InnerInputs:
    weights = [None if weight is None else weight.contiguous() for weight in inputs[1:11]]
    conv_state = None if inputs.conv_state_BVE is None else rows(inputs.conv_state_BVE)
    ssm_state = None if inputs.ssm_state_BEN is None else inputs.ssm_state_BEN.contiguous()
    return InnerInputs._make([rows(inputs.xz_BTF), *weights, conv_state, ssm_state, *inputs[13:]])


def _until_scan(i: InnerInputs) -> _Pass:
    (E, N), R = i.A_log_EN.shape, i.dt_proj_ER.shape[1]
    conv = ConvInputs(i.xz_BTF[..., :E], i.conv_weight_EW, i.conv_bias_E, i.conv_state_BVE, i.reset_BT)
    x_BTE, new_conv_BVE = conv_forward(conv)
    projected_MP = _product(x_BTE.view(-1, E), i.x_proj_PE.t())
    normed_MP = projected_MP if i.dt_norm_R is None else norm_forward(projected_MP, _norms(i), i.eps)
    dt_BTE = _product(normed_MP[:, :R], i.dt_proj_ER.t()).view(x_BTE.shape)
    return _Pass(conv, new_conv_BVE, projected_MP, normed_MP, _scan_inputs(i, x_BTE, dt_BTE, normed_MP))


def _scan_inputs(i: InnerInputs, x_BTE: Tensor, dt_BTE: Tensor, normed_MP: Tensor) -> ScanInputs:
    (E, N), R = i.A_log_EN.shape, i.dt_proj_ER.shape[1]
    normed_BTP = normed_MP.view(*x_BTE.shape[:-1], -1)
    B_BTN, C_BTN, z_BTE = normed_BTP[..., R : R + N], normed_BTP[..., R + N :], i.xz_BTF[..., E:]
    return ScanInputs(
        x_BTE, dt_BTE, i.A_log_EN, B_BTN, C_BTN, i.D_E, z_BTE, i.dt_bias_E, i.ssm_state_BEN, i.reset_BT, True, True
    )


def _norms(i: InnerInputs) -> tuple[Tensor, Tensor, Tensor]:
    assert i.dt_norm_R is not None and i.B_norm_N is not None and i.C_norm_N is not None
    return i.dt_norm_R, i.B_norm_N, i.C_norm_N


def _product(a: Tensor, b: Tensor) -> Tensor:
    # With `out`, autocast leaves the product in float32, which is what the kernels read.
    return torch.mm(a, b, out=a.new_empty(a.shape[0], b.shape[1]))


class _KernelInner(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, Tensor, Tensor]:
        inputs = _laid_out(InnerInputs(*args))
        forward = _until_scan(inputs)
        results = scan_forward(forward.scan, keep=True)
        ctx.set_materialize_grads(False)
        between = forward.scan.x_BTE, forward.scan.dt_BTE, forward.projected_MP, forward.normed_MP
        ctx.save_for_backward(*inputs[:14], *between, *results[2:])
        ctx.eps = inputs.eps
        return results.y_BTE, forward.new_conv_BVE, results.final_BEN

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, dy_BTE: Tensor | None, dnew_conv_BVE: Tensor | None, dfinal_BEN: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        i = InnerInputs(*saved[:14], ctx.eps)
        x_BTE, dt_BTE, projected_MP, normed_MP, *kept = saved[14:]
        (E, N), R = i.A_log_EN.shape, i.dt_proj_ER.shape[1]
        x_ME = x_BTE.view(-1, E)
        d = InnerInputs._make([*map(like, i[:11]), *_wanted(ctx, i), None, 0.0])

        # Through the scan; its gradients of z, B and C go where those of x and dt will lie beside them.
        dnormed_MP, dx_ME, ddt_ME = (
            normed_MP.new_empty(*normed_MP.shape),
            torch.empty_like(x_ME),
            torch.empty_like(x_ME),
        )
        scan, dscan = (
            _scan_inputs(i, x_BTE, dt_BTE, normed_MP),
            _scan_inputs(d, dx_ME.view(x_BTE.shape), ddt_ME.view(x_BTE.shape), dnormed_MP),
        )
        dy_BTE = x_BTE.new_zeros(*x_BTE.shape) if dy_BTE is None else rows(dy_BTE)
        dfinal_BEN = None if dfinal_BEN is None else dfinal_BEN.contiguous()
        scan_backward(scan, ScanResults(x_BTE, x_BTE, *kept), dy_BTE, dfinal_BEN, ScanGradients(*dscan[:9]))

        # Through dt_proj, the norms and x_proj.
        torch.mm(ddt_ME.t(), normed_MP[:, :R], out=d.dt_proj_ER)
        dnormed_MP[:, :R] = _product(ddt_ME, i.dt_proj_ER)
        dprojected_MP, dnorms = dnormed_MP, (None, None, None)
        if i.dt_norm_R is not None:
            dprojected_MP, dnorms = norm_backward(projected_MP, _norms(i), i.eps, dnormed_MP)
        torch.mm(dprojected_MP.t(), x_ME, out=d.x_proj_PE)
        dx_ME.addmm_(dprojected_MP, i.x_proj_PE)

        # Through the convolution.
        conv = ConvInputs(i.xz_BTF[..., :E], i.conv_weight_EW, i.conv_bias_E, i.conv_state_BVE, i.reset_BT)
        dconv = ConvGradients(d.xz_BTF[..., :E], d.conv_weight_EW, d.conv_bias_E, d.conv_state_BVE)
        dnew_conv_BVE = None if dnew_conv_BVE is None else rows(dnew_conv_BVE)
        conv_backward(conv, dx_ME.view(x_BTE.shape), dnew_conv_BVE, dconv)
        return *d[:4], *dnorms, *d[7:13], None, None


def _wanted(ctx: Any, i: InnerInputs) -> tuple[Tensor | None, Tensor | None]:
    """Return memory for the gradients of the two states, where anyone asks for them."""
    conv_state = like(i.conv_state_BVE) if ctx.needs_input_grad[11] else None
    ssm_state = like(i.ssm_state_BEN) if ctx.needs_input_grad[12] else None
    return conv_state, ssm_state
