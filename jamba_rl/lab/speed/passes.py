"""What training does with a layer, as one call that can be timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from jamba_rl.lab.speed.timing import Call


def forward_backward(forward: Callable[[], Tensor | tuple[Tensor, ...]], inputs: Sequence[Tensor]) -> Call:
    """Return a call that runs a function and the gradients of a random weighted sum of its outputs.

    :param inputs: leaves; each gets its gradient, which is thrown away, so that calls do not add up
    """
    outputs = forward()
    weights = [torch.randn_like(y) for y in ((outputs,) if isinstance(outputs, Tensor) else outputs)]

    def call() -> object:
        return torch.autograd.grad(forward(), inputs, weights)

    return call


def projections(d_model: int, d_inner: int, d_state: int, dt_rank: int, batch: int, steps: int) -> Call:
    """Return forward and backward of the four projections of a Mamba layer, alone: each with input and gradient.

    in_proj (D to 2E), x_proj (E to R + 2N), dt_proj (R to E) and out_proj (E to D).
    """
    sizes = ((d_model, 2 * d_inner), (d_inner, dt_rank + 2 * d_state), (dt_rank, d_inner), (d_inner, d_model))
    layers = [nn.Linear(*size, bias=False) for size in sizes]
    inputs = [torch.randn(batch, steps, size, requires_grad=True) for size, _ in sizes]

    def forward() -> tuple[Tensor, ...]:
        return tuple(layer(x) for layer, x in zip(layers, inputs, strict=True))

    return forward_backward(forward, [*inputs, *(layer.weight for layer in layers)])
