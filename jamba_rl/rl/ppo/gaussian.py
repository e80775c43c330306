"""SB3's diagonal Gaussian with its gradients written out."""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from stable_baselines3.common.distributions import DiagGaussianDistribution, sum_independent_dims
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import Normal

from jamba_rl.kernels.gaussian import gaussian_backward, gaussian_forward
from jamba_rl.kernels.library import kernels_apply

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class DiagGaussian(DiagGaussianDistribution):
    """The same distribution as SB3's ``DiagGaussianDistribution``, in few operations.

    ``torch.distributions`` spends a dozen small ones on each number asked of it.
    """

    mean_actions: Tensor
    log_std: Tensor

    def proba_distribution(self, mean_actions: Tensor, log_std: Tensor) -> Self:
        """Set the parameters: means (M, A), logarithms of standard deviations (A,).

        :raises ValueError: if a mean is not a number, as ``torch.distributions`` does
        """
        if mean_actions.isnan().any():
            raise ValueError("the policy's mean actions are not numbers: learning has diverged")
        self.mean_actions, self.log_std = mean_actions, log_std
        return self

    @property
    def distribution(self) -> Normal:
        """As ``torch.distributions`` has it."""
        return Normal(self.mean_actions, self.log_std.exp().expand_as(self.mean_actions))

    @distribution.setter
    def distribution(self, value: Any) -> None:
        """SB3's constructor sets None."""

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log probabilities (M,) of actions (M, A); other shapes are SB3's affair, and gradients of actions."""
        if not self._is_plain() or actions.shape != self.mean_actions.shape or actions.requires_grad:
            return sum_independent_dims(self.distribution.log_prob(actions))
        result: Tensor = _LogProb.apply(self.mean_actions, self.log_std, actions)
        return result

    def entropy(self) -> Tensor:
        """Entropy (M,), which no mean changes."""
        if not self._is_plain():
            return sum_independent_dims(self.distribution.entropy())
        each = 0.5 + HALF_LOG_TWO_PI
        return (self.log_std.sum() + each * self.log_std.numel()).expand(len(self.mean_actions))

    def sample(self) -> Tensor:
        """Draw actions (M, A); gradients flow into mean and deviation."""
        return torch.addcmul(self.mean_actions, torch.randn_like(self.mean_actions), self.log_std.exp())

    def mode(self) -> Tensor:
        """The means."""
        return self.mean_actions

    def _is_plain(self) -> bool:
        """Whether there is one deviation for each column of a matrix of means."""
        return self.mean_actions.dim() == 2 and self.log_std.shape == self.mean_actions.shape[1:]


class _LogProb(torch.autograd.Function):
    """Sum over A of -z^2 / 2 - log_std - log(2 pi) / 2, with z = (action - mean) / std."""

    @staticmethod
    def forward(ctx: Any, mean: Tensor, log_std: Tensor, actions: Tensor) -> Tensor:
        mean, log_std, actions = mean.contiguous(), log_std.contiguous(), actions.contiguous()
        ctx.save_for_backward(mean, log_std, actions)
        if _kernel_reads(mean, log_std, actions):
            return gaussian_forward(mean, log_std, actions)
        z = (actions - mean) * torch.exp(-log_std)
        return -0.5 * z.square().sum(-1) - log_std.sum() - HALF_LOG_TWO_PI * log_std.numel()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        mean, log_std, actions = ctx.saved_tensors
        if _kernel_reads(mean, log_std, actions, gradient):
            return *gaussian_backward(mean, log_std, actions, gradient.contiguous()), None
        precision = torch.exp(-log_std)
        z = (actions - mean) * precision
        weighted = z * gradient.unsqueeze(-1)
        return weighted * precision, (weighted * z).sum(0) - gradient.sum(), None


def _kernel_reads(mean: Tensor, *others: Tensor) -> bool:
    return kernels_apply(mean) and all(tensor.dtype == mean.dtype == torch.float32 for tensor in others)
