"""The fused scan on a CPU: calls of the kernels of ``csrc/scan*``, and the function that autograd knows.

Forward keeps the state before every chunk of time, backward computes the states inside the chunks again.

Letters of the shape suffixes: B batch, T time, E channels, N state size per channel.
"""

import struct
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jamba_rl.kernels.library import address, call, kernels, like, needs_grad, resets, rows, seq, thread_count

_INPUTS = struct.Struct("29q")
_RESULTS = struct.Struct("8q")
_GRADIENTS = struct.Struct("23q")
_NO_GRADIENTS = _GRADIENTS.pack(*[0] * 23)


class ScanInputs(NamedTuple):
    """What a scan reads: float32, on the CPU. Without the time axis it is one step.

    ``log_A`` says that A is given as A_log, with A = -exp(A_log); ``softplus`` that dt still lacks bias and softplus.
    """

    x_BTE: Tensor
    dt_BTE: Tensor
    A_EN: Tensor
    B_BTN: Tensor
    C_BTN: Tensor
    D_E: Tensor | None
    z_BTE: Tensor | None
    dt_bias_E: Tensor | None
    initial_BEN: Tensor | None
    reset_BT: Tensor | None
    softplus: bool
    log_A: bool


class ScanResults(NamedTuple):
    """What a scan writes; the last two, for the backward pass, are None where nothing was kept."""

    y_BTE: Tensor
    final_BEN: Tensor
    ungated_BTE: Tensor | None
    checkpoints: Tensor | None


class ScanGradients(NamedTuple):
    """Where the gradients of the first nine inputs go: memory of their shapes, None where the input is None."""

    x_BTE: Tensor
    dt_BTE: Tensor
    A_EN: Tensor
    B_BTN: Tensor
    C_BTN: Tensor
    D_E: Tensor | None
    z_BTE: Tensor | None
    dt_bias_E: Tensor | None
    initial_BEN: Tensor | None


def kernel_scan(inputs: ScanInputs) -> tuple[Tensor, Tensor]:
    """Return ``(y [B,T,E], final_state [B,E,N])``, or of one step, without a graph, ``([B,E], [B,E,N])``."""
    if needs_grad(inputs[:9]):
        y_BTE, final_BEN = _KernelScan.apply(*inputs)
        return y_BTE, final_BEN
    return scan_forward(laid_out(inputs), keep=False)[:2]


def laid_out(inputs: ScanInputs) -> ScanInputs:
    """Return the inputs as the kernel reads them: sequences by rows, everything else contiguous."""
    x, dt, A_EN, B, C, D_E, z, dt_bias_E, initial_BEN, reset, softplus, log_A = inputs
    return ScanInputs(
        rows(x),
        rows(dt),
        A_EN.contiguous(),
        rows(B),
        rows(C),
        None if D_E is None else D_E.contiguous(),
        None if z is None else rows(z),
        None if dt_bias_E is None else dt_bias_E.contiguous(),
        None if initial_BEN is None else initial_BEN.contiguous(),
        reset,
        softplus,
        log_A,
    )


def scan_forward(inputs: ScanInputs, keep: bool) -> ScanResults:
    """Run the kernel; ``keep`` what the backward pass needs."""
    x = inputs.x_BTE
    final_BEN = x.new_empty(x.shape[0], *inputs.A_EN.shape)
    y, ungated, checkpoints = x.new_empty(*x.shape), None, None
    if keep:
        ungated = None if inputs.z_BTE is None else x.new_empty(*x.shape)
        checkpoints = _room_for_checkpoints(inputs)
    results = _RESULTS.pack(*seq(y), final_BEN.data_ptr(), *seq(ungated), address(checkpoints))
    call(kernels().scan_forward, _pack_inputs(inputs) + results + _NO_GRADIENTS)
    return ScanResults(y, final_BEN, ungated, checkpoints)


def scan_backward(
    inputs: ScanInputs, kept: ScanResults, dy: Tensor, dfinal: Tensor | None, gradients: ScanGradients
) -> None:
    """Run the backward kernel, which fills ``gradients``; dy by rows, dfinal contiguous."""
    results = _RESULTS.pack(0, 0, 0, 0, *seq(kept.ungated_BTE), address(kept.checkpoints))
    packed = _GRADIENTS.pack(
        *seq(dy),
        address(dfinal),
        *seq(gradients.x_BTE),
        *seq(gradients.dt_BTE),
        *seq(gradients.B_BTN),
        *seq(gradients.C_BTN),
        *seq(gradients.z_BTE),
        address(gradients.A_EN),
        address(gradients.D_E),
        address(gradients.dt_bias_E),
        address(gradients.initial_BEN),
    )
    call(kernels().scan_backward, _pack_inputs(inputs) + results + packed)


def _pack_inputs(inputs: ScanInputs) -> bytes:
    x, dt, A_EN, B, C, D_E, z, dt_bias_E, initial_BEN, reset, softplus, log_A = inputs
    batch, *steps, channels = x.shape
    time, states = (steps[0] if steps else 1), A_EN.shape[1]
    return _INPUTS.pack(
        batch,
        time,
        channels,
        states,
        thread_count(batch * time * channels * states),
        softplus,
        log_A,
        *seq(x),
        *seq(dt),
        *seq(B),
        *seq(C),
        *seq(z),
        A_EN.data_ptr(),
        address(D_E),
        address(dt_bias_E),
        address(initial_BEN),
        *resets(reset),
    )


def _room_for_checkpoints(inputs: ScanInputs) -> Tensor:
    (batch, time, channels), states, sizes = inputs.x_BTE.shape, inputs.A_EN.shape[1], kernels()
    chunks, blocks, tiles = -(-time // sizes.chunk), -(-channels // sizes.lanes), -(-states // sizes.tile)
    return inputs.x_BTE.new_empty(batch, chunks, blocks, tiles * sizes.tile, sizes.lanes)


class _KernelScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, Tensor]:
        inputs = laid_out(ScanInputs(*args))
        results = scan_forward(inputs, keep=True)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs[:10], *results[2:])
        ctx.flags = inputs[10:]
        return results.y_BTE, results.final_BEN

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor | None, dfinal: Tensor | None) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        inputs = ScanInputs(*saved[:10], *ctx.flags)
        x = inputs.x_BTE
        gradients = ScanGradients._make(map(like, inputs[:9]))
        dy = x.new_zeros(*x.shape) if dy is None else rows(dy)
        dfinal = None if dfinal is None else dfinal.contiguous()
        scan_backward(inputs, ScanResults(x, x, *saved[10:]), dy, dfinal, gradients)
        return *gradients, None, None, None
