"""A Gaussian squashed by tanh, with its gradients written out."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def squashed_sample(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Draw a = tanh(mean + std noise), with gradients.

    SB3 adds 1e-6 under the logarithm below, and for an action near a bound has nothing else left there. Here
    log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u)) is exact.

    :param mean: (N, A)
    :param log_std: (N, A)
    :param noise: (N, A), standard normal
    :return: actions (N, A), and their log probabilities (N,): the sum over A of
        -noise^2 / 2 - log_std - log(2 pi) / 2 - log(1 - a^2)
    """
    result: tuple[Tensor, Tensor] = _Squashed.apply(mean, log_std, noise)
    return result


class _Squashed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        deviation = log_std.exp() * noise
        raw = mean + deviation
        actions = raw.tanh()
        squashing = 2.0 * (raw + F.softplus(-2.0 * raw))
        constant = mean.shape[1] * (0.5 * math.log(2.0 * math.pi) + 2.0 * math.log(2.0))
        log_prob = (squashing - 0.5 * noise.square() - log_std).sum(1) - constant
        ctx.save_for_backward(actions, deviation)
        return actions, log_prob

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dactions: Tensor, dlog_prob: Tensor) -> tuple[Tensor, Tensor, None]:
        actions, deviation = ctx.saved_tensors
        weight = dlog_prob.unsqueeze(1)
        draw = dactions * (1.0 - actions.square()) + 2.0 * weight * actions
        return draw, draw * deviation - weight, None
