"""PPO's loss and its gradient on a CPU: a call of the kernel of ``csrc/ppo.c``."""

import struct
from collections.abc import Sequence

from torch import Tensor

from jamba_rl.kernels.library import address, call, kernels

_PPO = struct.Struct("q3dq9q")


def kernel_ppo_loss(
    tensors: Sequence[Tensor], clip: float, clip_value: float, vf_coef: float, normalize: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return loss and statistics (5,), and the gradients of log probabilities and values (M,).

    :param tensors: in the order of the struct in ``csrc/ppo.c``, contiguous
    """
    log_prob, values = tensors[:2]
    dlog_prob, dvalues, results = log_prob.new_empty(len(log_prob)), values.new_empty(len(values)), values.new_empty(5)
    addresses = map(address, (*tensors, dlog_prob, dvalues, results))
    call(kernels().ppo_loss, _PPO.pack(len(log_prob), clip, clip_value, vf_coef, normalize, *addresses))
    return results, dlog_prob, dvalues
