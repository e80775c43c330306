"""Log probabilities under a diagonal Gaussian on a CPU: calls of the kernels of ``csrc/gaussian.c``."""

import struct

from torch import Tensor

from jamba_rl.kernels.library import address, call, kernels

_GAUSSIAN = struct.Struct("9q")


def gaussian_forward(mean: Tensor, log_std: Tensor, actions: Tensor) -> Tensor:
    """Return log probabilities (M,) of actions (M, A) for means (M, A); all contiguous."""
    log_prob = mean.new_empty(mean.shape[0])
    addresses = map(address, (mean, log_std, actions, log_prob))
    call(kernels().gaussian_forward, _GAUSSIAN.pack(*mean.shape, *addresses, 0, 0, 0))
    return log_prob


def gaussian_backward(mean: Tensor, log_std: Tensor, actions: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of means and of log_std; all contiguous."""
    dmean, dlog_std = mean.new_empty(*mean.shape), log_std.new_empty(*log_std.shape)
    addresses = map(address, (mean, log_std, actions, None, gradient, dmean, dlog_std))
    call(kernels().gaussian_backward, _GAUSSIAN.pack(*mean.shape, *addresses))
    return dmean, dlog_std
