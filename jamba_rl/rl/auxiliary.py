"""A second loss beside one that somebody else's training computes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def with_loss(tensor: Tensor, loss: Tensor) -> Tensor:
    """Return ``tensor`` as it is; whoever goes backward through it also goes backward through ``loss``, with weight 1.

    So a loss that belongs to a network reaches training code that knows nothing of it: SB3's.

    >>> x, weight = torch.ones(2, requires_grad=True), torch.ones(1, requires_grad=True)
    >>> with_loss(x, (3 * weight).sum()).sum().backward()
    >>> x.grad, weight.grad
    (tensor([1., 1.]), tensor([3.]))
    """
    result: Tensor = _WithLoss.apply(tensor, loss)
    return result


class _WithLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, loss: Tensor) -> Tensor:
        ctx.like = loss.detach()
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gradient, torch.ones_like(ctx.like)
