"""Linear layers with tanh on a CPU as one function that autograd knows."""

import struct
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jamba_rl.kernels.library import call, kernels

_TANH = struct.Struct("5q")


def kernel_tanh_layers(x: Tensor, *parameters: Tensor) -> Tensor:
    """Return tanh(... tanh(x W1' + b1) ...) for x (M, F).

    :param parameters: weight (out, in) and bias (out,) of each layer, in turn; all float32 on the CPU
    """
    y: Tensor = _TanhLayers.apply(x, *parameters)
    return y


class _TanhLayers(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *parameters: Tensor) -> Tensor:
        results = [x]
        for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
            y = torch.addmm(bias, results[-1], weight.t())
            call(kernels().tanh_forward, _TANH.pack(*y.shape, y.data_ptr(), 0, 0))
            results.append(y)
        ctx.save_for_backward(*results, *parameters[::2])
        return results[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        count = len(ctx.saved_tensors) // 2
        results, weights = ctx.saved_tensors[: count + 1], ctx.saved_tensors[count + 1 :]
        gradients: list[Tensor | None] = []
        dx = dy.clone(memory_format=torch.contiguous_format)
        for i in reversed(range(count)):
            dbias = dx.new_empty(dx.shape[1])
            packed = _TANH.pack(*dx.shape, results[i + 1].data_ptr(), dx.data_ptr(), dbias.data_ptr())
            call(kernels().tanh_backward, packed)
            gradients += [dbias, torch.mm(dx.t(), results[i])]
            if i > 0 or ctx.needs_input_grad[0]:
                dx = torch.mm(dx, weights[i])
        return dx if ctx.needs_input_grad[0] else None, *reversed(gradients)
