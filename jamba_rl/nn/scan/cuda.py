"""The selective scan on a CUDA device through the kernel of ``mamba_ssm``, where that is installed. Not measured.

That kernel knows no resets, no initial state, and no gradient of the final state. It applies where the first two are
absent. The final state is read as output: behind the sequence come N steps that change nothing, because dt is zero, and
whose C is a unit vector each.

Letters of the shape suffixes: B batch, T time, E channels, N state size per channel.
"""

import functools
import importlib
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import silu

from jamba_rl.kernels.scan import ScanInputs

_MAX_STATES = 256
_SOFTPLUS_IS_ZERO = -1e4


@functools.cache
def selective_scan_fn() -> Callable[..., Tensor] | None:
    """Return the function of that name of ``mamba_ssm``, None where it is not installed with its kernel."""
    try:
        importlib.import_module("selective_scan_cuda")
        function: Callable[..., Tensor] = importlib.import_module(
            "mamba_ssm.ops.selective_scan_interface"
        ).selective_scan_fn
    except ImportError:
        return None
    return function


def cuda_applies(i: ScanInputs) -> bool:
    """Return whether the kernel of ``mamba_ssm`` can compute this scan."""
    plain = i.x_BTE.is_cuda and i.x_BTE.dtype is torch.float32 and i.A_EN.shape[1] <= _MAX_STATES
    sequence = i.x_BTE.dim() == 3 and i.reset_BT is None and i.initial_BEN is None
    return plain and sequence and selective_scan_fn() is not None


def cuda_scan(i: ScanInputs) -> tuple[Tensor, Tensor]:
    """Return ``(y [B,T,E], final_state [B,E,N])``, differentiable once in both."""
    (batch, time, channels), states = i.x_BTE.shape, i.A_EN.shape[1]
    zeros_BNE, zeros_BNN = i.x_BTE.new_zeros(batch, states, channels), i.x_BTE.new_zeros(batch, states, states)
    sequences = (
        (i.x_BTE, zeros_BNE),
        (i.dt_BTE, zeros_BNE + _SOFTPLUS_IS_ZERO if i.softplus else zeros_BNE),
        (i.B_BTN, zeros_BNN),
        (i.C_BTN, zeros_BNN + torch.eye(states, device=zeros_BNN.device)),
    )
    x, dt, B, C = (torch.cat(parts, 1).transpose(1, 2).contiguous() for parts in sequences)
    A_EN = -torch.exp(i.A_EN) if i.log_A else i.A_EN
    function = selective_scan_fn()
    assert function is not None  # cuda_applies said so
    y = function(x, dt, A_EN, B, C, i.D_E, delta_bias=i.dt_bias_E, delta_softplus=i.softplus)
    y_BTE, final_BEN = y[..., :time].transpose(1, 2), y[..., time:]
    return (y_BTE if i.z_BTE is None else y_BTE * silu(i.z_BTE)), final_BEN
