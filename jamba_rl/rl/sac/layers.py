"""Linear layers with ReLU between them as one function that autograd knows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from jamba_rl.kernels.layers import hooked, only_multiplies


def run_layers(net: nn.Module, x: Tensor, learns: bool = True) -> Tensor:
    """Return ``net(x)`` for x (N, F), in one step of autograd where it is linear layers and ReLU in turn.

    Between large products, the dozen steps that autograd takes for each network cost as much as one of them.

    :param learns: whether gradients of the layers are wanted too, and not only that of x
    """
    if type(net) is not nn.Sequential or not _is_plain(net, x):
        y: Tensor = net(x)
        return y
    parameters = [
        parameter for layer in net if isinstance(layer, nn.Linear) for parameter in (layer.weight, layer.bias)
    ]
    if not learns:
        parameters = [parameter.detach() for parameter in parameters]
    result: Tensor = _ReluLayers.apply(x, len(net) % 2 == 0, *parameters)
    return result


def _is_plain(net: nn.Sequential, x: Tensor) -> bool:
    if not len(net) or x.dim() != 2 or hooked(net) or torch.is_autocast_enabled(x.device.type):
        return False
    layers = list(net)
    return all(only_multiplies(layer) and layer.bias is not None for layer in layers[::2]) and all(
        type(layer) is nn.ReLU and not hooked(layer) for layer in layers[1::2]
    )


class _ReluLayers(torch.autograd.Function):
    """``parameters`` are weight and bias of each layer in turn; after the last one there is a ReLU or not."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, relu_last: bool, *parameters: Tensor) -> Tensor:
        results, weights = [x], parameters[::2]
        for i, (weight, bias) in enumerate(zip(weights, parameters[1::2], strict=True)):
            y = torch.addmm(bias, results[-1], weight.t())
            results.append(y.relu_() if relu_last or i < len(weights) - 1 else y)
        ctx.relu_last = relu_last
        ctx.save_for_backward(*results, *weights)
        return results[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        count = len(ctx.saved_tensors) // 2
        results, weights = ctx.saved_tensors[: count + 1], ctx.saved_tensors[count + 1 :]
        wanted = ctx.needs_input_grad
        gradients: list[Tensor | None] = []
        for i in reversed(range(count)):
            if ctx.relu_last or i < count - 1:
                dy = torch.ops.aten.threshold_backward(dy, results[i + 1], 0)
            gradients.append(dy.sum(0) if wanted[3 + 2 * i] else None)
            gradients.append(torch.mm(dy.t(), results[i]) if wanted[2 + 2 * i] else None)
            if i > 0 or wanted[0]:
                dy = torch.mm(dy, weights[i])
        return dy if wanted[0] else None, None, *reversed(gradients)
