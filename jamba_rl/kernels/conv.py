"""The causal convolution on a CPU: calls of the kernels of ``csrc/conv.c``, and the function that autograd knows.

Letters of the shape suffixes: B batch, T time, E channels, W width of the filter, V = W - 1.
"""

import struct
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jamba_rl.kernels.library import address, call, kernels, like, needs_grad, resets, rows, seq, thread_count

_INPUTS = struct.Struct("16q")
_RESULTS = struct.Struct("6q")
_GRADIENTS = struct.Struct("14q")
_NO_RESULTS = _RESULTS.pack(*[0] * 6)
_NO_GRADIENTS = _GRADIENTS.pack(*[0] * 14)


class ConvInputs(NamedTuple):
    """What a convolution reads: float32, on the CPU. Without the time axis it is one step."""

    x_BTE: Tensor
    weight_EW: Tensor
    bias_E: Tensor | None
    state_BVE: Tensor | None
    reset_BT: Tensor | None


class ConvGradients(NamedTuple):
    """Where the gradients of the first four inputs go: memory of their shapes, None where the input is None."""

    x_BTE: Tensor
    weight_EW: Tensor
    bias_E: Tensor | None
    state_BVE: Tensor | None


def kernel_conv(inputs: ConvInputs) -> tuple[Tensor, Tensor]:
    """Return ``(y [B,T,E], new_state [B,V,E])``, or of one step, without a graph, ``([B,E], [B,V,E])``."""
    if needs_grad(inputs[:4]):
        y_BTE, new_BVE = _KernelConv.apply(*inputs)
        return y_BTE, new_BVE
    return conv_forward(laid_out(inputs))


def laid_out(inputs: ConvInputs) -> ConvInputs:
    """Return the inputs as the kernel reads them: sequences by rows, everything else contiguous."""
    x, weight_EW, bias_E, state_BVE, reset = inputs
    return ConvInputs(
        rows(x),
        weight_EW.contiguous(),
        None if bias_E is None else bias_E.contiguous(),
        None if state_BVE is None else rows(state_BVE),
        reset,
    )


def conv_forward(inputs: ConvInputs) -> tuple[Tensor, Tensor]:
    """Run the kernel and return y and the new state."""
    x = inputs.x_BTE
    channels, width = inputs.weight_EW.shape
    y, new_BVE = x.new_empty(*x.shape), x.new_empty(x.shape[0], width - 1, channels)
    call(kernels().conv_forward, _pack_inputs(inputs) + _RESULTS.pack(*seq(y), *seq(new_BVE)) + _NO_GRADIENTS)
    return y, new_BVE


def conv_backward(inputs: ConvInputs, dy: Tensor, dnew_BVE: Tensor | None, gradients: ConvGradients) -> None:
    """Run the backward kernel, which fills ``gradients``; dy and dnew by rows."""
    packed = _GRADIENTS.pack(
        *seq(dy),
        *seq(dnew_BVE),
        *seq(gradients.x_BTE),
        *seq(gradients.state_BVE),
        address(gradients.weight_EW),
        address(gradients.bias_E),
    )
    call(kernels().conv_backward, _pack_inputs(inputs) + _NO_RESULTS + packed)


def _pack_inputs(inputs: ConvInputs) -> bytes:
    x, weight_EW, bias_E, state_BVE, reset = inputs
    batch, *steps, channels = x.shape
    time, width = (steps[0] if steps else 1), weight_EW.shape[1]
    return _INPUTS.pack(
        batch,
        time,
        channels,
        width,
        thread_count(batch * time * channels * width),
        *seq(x),
        weight_EW.data_ptr(),
        address(bias_E),
        *seq(state_BVE),
        *resets(reset),
    )


class _KernelConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, Tensor]:
        inputs = laid_out(ConvInputs(*args))
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs)
        return conv_forward(inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor | None, dnew: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs = ConvInputs(*ctx.saved_tensors)
        gradients = ConvGradients._make(map(like, inputs[:4]))
        dy = inputs.x_BTE.new_zeros(*inputs.x_BTE.shape) if dy is None else rows(dy)
        conv_backward(inputs, dy, None if dnew is None else rows(dnew), gradients)
        return *gradients, None
