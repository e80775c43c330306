"""PPO's loss with its gradient written out."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jamba_rl.kernels.library import kernels_apply
from jamba_rl.kernels.ppo import kernel_ppo_loss


class Targets(NamedTuple):
    """What a minibatch of M transitions is compared with: all (M,)."""

    advantages: Tensor
    returns: Tensor
    old_values: Tensor
    old_log_prob: Tensor


class LossForm(NamedTuple):
    """How far one update may go, and how the parts of the loss are weighed."""

    clip_range: float
    """Of the ratio of new to old probability, away from 1."""
    clip_range_vf: float | None
    """Of a value, away from the old one, in units of the return; None for any distance."""
    vf_coef: float
    """Weight of the values' squared error."""
    normalize_advantage: bool
    """Whether the minibatch's advantages are brought to mean 0 and deviation 1; a single one never is."""


class Statistics(NamedTuple):
    """What SB3 logs of a minibatch, in the order of the tensor that ``ppo_loss`` returns."""

    loss: float
    policy_loss: float
    value_loss: float
    clip_fraction: float
    approx_kl: float


def ppo_loss(log_prob: Tensor, values: Tensor, targets: Targets, form: LossForm) -> tuple[Tensor, Tensor]:
    """Return the clipped surrogate loss plus the weighted squared error of the values, and ``Statistics``.

    Schulman et al. 2017 (arXiv 1707.06347), eq. 7 and 9 without the entropy, in SB3's conventions; the KL estimate is
    that of http://joschu.net/blog/kl-approx.html. Some forty operations on a few hundred numbers each: autograd would
    double them, and spend more on keeping books than on numbers.

    :param log_prob: (M,) of the actions under the present policy
    :param values: (M,)
    :return: the loss, and a tensor (5,)
    """
    assert all(tensor.shape == log_prob.shape for tensor in (values, *targets)), "kernels read as many of each"
    loss, statistics = _PPOLoss.apply(log_prob, values, targets, form)
    return loss, statistics


class _PPOLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, log_prob: Tensor, values: Tensor, targets: Targets, form: LossForm) -> tuple[Tensor, Tensor]:
        tensors = [tensor.contiguous() for tensor in (log_prob, values, *targets)]
        if kernels_apply(log_prob) and all(tensor.dtype == torch.float32 for tensor in tensors):
            clip_value = math.inf if form.clip_range_vf is None else form.clip_range_vf
            numbers = (form.clip_range, clip_value, form.vf_coef, form.normalize_advantage)
            statistics, dlog_prob, dvalues = kernel_ppo_loss(tensors, *numbers)
        else:
            statistics, dlog_prob, dvalues = _torch_ppo_loss(log_prob, values, targets, form)
        ctx.save_for_backward(dlog_prob, dvalues)
        ctx.mark_non_differentiable(statistics)
        return statistics[0].clone(), statistics

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        dlog_prob, dvalues = ctx.saved_tensors
        return dlog_prob * gradient, dvalues * gradient, None, None


def _torch_ppo_loss(
    log_prob: Tensor, values: Tensor, targets: Targets, form: LossForm
) -> tuple[Tensor, Tensor, Tensor]:
    advantages = targets.advantages
    if form.normalize_advantage and len(advantages) > 1:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    policy_loss, dlog_prob, *seen = _policy(log_prob, advantages, targets.old_log_prob, form.clip_range)
    value_loss, dvalues = _value(values, targets, form.clip_range_vf, form.vf_coef)
    return torch.stack([policy_loss + form.vf_coef * value_loss, policy_loss, value_loss, *seen]), dlog_prob, dvalues


def _policy(log_prob: Tensor, advantages: Tensor, old_log_prob: Tensor, clip: float) -> tuple[Tensor, ...]:
    """Loss, gradient of the log probabilities, fraction of clipped ratios, estimate of the KL divergence."""
    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()
    free, bounded = advantages * ratio, advantages * ratio.clamp(1.0 - clip, 1.0 + clip)
    # where the bounded one is the smaller, it does not change with the policy
    gradient = torch.where(free > bounded, 0.0, free) * (-1.0 / len(free))
    away = ratio - 1.0
    return -torch.minimum(free, bounded).mean(), gradient, (away.abs() > clip).float().mean(), (away - log_ratio).mean()


def _value(values: Tensor, targets: Targets, clip: float | None, coef: float) -> tuple[Tensor, Tensor]:
    """Mean squared error, and ``coef`` times its gradient."""
    if clip is None:
        error = values - targets.returns
        return error.square().mean(), error * (2.0 * coef / len(error))
    change = values - targets.old_values
    error = targets.old_values + change.clamp(-clip, clip) - targets.returns
    gradient = torch.where(change.abs() > clip, 0.0, error) * (2.0 * coef / len(error))
    return error.square().mean(), gradient
