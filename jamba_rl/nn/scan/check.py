"""What the operations of this package accept, said once and clearly.

The test that every call pays is a handful of comparisons.
"""

import difflib
from collections.abc import Sequence

import torch
from torch import Tensor

from jamba_rl.kernels.inner import InnerInputs

_SMALL_FLOATS = (torch.float32, torch.bfloat16, torch.float16)
_FLOATS = (*_SMALL_FLOATS, torch.float64)


def check_scan(
    x: Tensor,
    A: Tensor,
    like_x: Sequence[tuple[str, Tensor | None]],
    like_rows: Sequence[tuple[str, Tensor]],
    per_channel: Sequence[tuple[str, Tensor | None]],
    reset: Tensor | None,
    state: Tensor | None,
    steps: bool,
) -> None:
    """Raise ValueError unless the arguments of a scan fit each other.

    Args:
        x: the sequence ``[B,T,E]``, or one step of it ``[B,E]``.
        A: ``[E,N]``.
        like_x: names and tensors shaped like x.
        like_rows: names and tensors ``[B,T,N]``, or ``[B,N]``.
        per_channel: names and tensors ``[E]``.
        reset: bool, the shape of x without its last axis, or None.
        state: ``[B,E,N]`` or None.
        steps: whether x has the time axis.
    """
    shape = x.shape
    if len(shape) != 2 + steps:
        raise ValueError(f"x must be {'[batch, time, channels]' if steps else '[batch, channels]'}, got {_describe(x)}")
    check_sequence(x, reset)
    if A.dim() != 2 or A.shape[0] != shape[-1] or A.shape[1] < 1:
        raise ValueError(f"A must be [{shape[-1]} channels, states] to go with x {list(shape)}, got {_describe(A)}")
    row_shape, channel_shape = (*shape[:-1], A.shape[1]), shape[-1:]
    _check_float("A", A, A.shape, x)
    for name, tensor in like_x:
        _check_float(name, tensor, shape, x)
    for name, tensor in like_rows:
        _check_float(name, tensor, row_shape, x)
    for name, tensor in per_channel:
        _check_float(name, tensor, channel_shape, x)
    _check_float("the state", state, (shape[0], *A.shape), x)


def check_conv(x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor | None, reset: Tensor | None) -> None:
    """Raise ValueError unless the arguments of ``causal_conv_silu`` fit each other."""
    check_sequence(x, reset)
    batch, channels = x.shape[0], x.shape[-1]
    if weight.dim() != 2 or weight.shape[0] != channels or not 1 <= weight.shape[1] <= 32:
        raise ValueError(f"weight must be [{channels} channels, width of 1 to 32], got {_describe(weight)}")
    _check_float("weight", weight, weight.shape, x)
    _check_float("bias", bias, (channels,), x)
    _check_float("conv_state", state, (batch, weight.shape[1] - 1, channels), x)


def check_inner(i: InnerInputs) -> bool:
    """Raise ValueError unless the arguments of ``mamba_inner`` fit each other; return whether all is plain float32.

    It is not under autocast, which chooses a type for every product.
    """
    xz, width = i.xz_BTF, i.conv_weight_EW.shape[-1]
    check_sequence(xz, i.reset_BT)
    if i.A_log_EK.dim() != 2 or i.dt_proj_ER.dim() != 2 or xz.shape[-1] != 2 * i.A_log_EK.shape[0]:
        raise ValueError(
            f"A_log [channels, states] and dt_proj [channels, rank] must go with xz, twice as many channels: "
            f"got {_describe(i.A_log_EK)}, {_describe(i.dt_proj_ER)}, {_describe(xz)}"
        )
    Q = 0 if i.angle_proj_QE is None else i.angle_proj_QE.shape[0]
    (E, K), R = i.A_log_EK.shape, i.dt_proj_ER.shape[1]
    N = K + Q
    if not 1 <= width <= 32 or not N or not R:
        raise ValueError(f"the filter's width must be 1 to 32, states and rank at least 1, got {width}, {N}, {R}")
    norms = sum(norm is not None for norm in i[5:8])
    if norms not in (0, 3):
        raise ValueError(f"dt_norm, B_norm and C_norm go together, got {norms} of them")
    if 2 * Q > N:
        raise ValueError(f"{Q} pairs turn, which are more than there are among {N} states")
    shapes = ((E, width), (E,), (R + 2 * N, E), (Q, E), (R,), (N,), (N,), (E, R), (E,), (E, K), (E,))
    states = ((xz.shape[0], width - 1, E), (xz.shape[0], E, N))
    plain = xz.dtype is torch.float32 and not torch.is_autocast_enabled("cpu")
    for name, tensor, shape in zip(i._fields[1:14], i[1:14], shapes + states, strict=True):
        if tensor is not None and not (tensor.shape == shape and tensor.dtype is torch.float32 and tensor.is_cpu):
            plain = False
            _check_float(name.rpartition("_")[0], tensor, shape, xz)
    return plain


def check_sequence(x: Tensor, reset: Tensor | None) -> None:
    """Raise ValueError unless x is a float ``[B,T,E]`` or ``[B,E]``, and reset a bool tensor of its steps."""
    if x.dim() not in (2, 3) or x.dtype not in _FLOATS or 0 in x.shape:
        raise ValueError(f"x must be a float tensor [batch, time, channels], or [batch, channels], got {_describe(x)}")
    if reset is not None and (reset.dtype is not torch.bool or reset.shape != x.shape[:-1] or reset.device != x.device):
        raise ValueError(f"reset must be bool {list(x.shape[:-1])} on {x.device}, got {_describe(reset)}")


def check_choice(what: str, given: str, choices: Sequence[str]) -> None:
    """Raise ValueError that names the nearest of ``choices`` unless ``given`` is one of them."""
    if given not in choices:
        near = difflib.get_close_matches(str(given), choices, n=2, cutoff=0.0)
        raise ValueError(f"unknown {what} {given!r}; nearest: {', '.join(near)} (all: {', '.join(choices)})")


def _check_float(name: str, tensor: Tensor | None, shape: Sequence[int], x: Tensor) -> None:
    if tensor is None or (tensor.shape == shape and tensor.dtype is x.dtype and tensor.is_cpu is x.is_cpu):
        return
    if tensor.shape != shape:
        raise ValueError(f"{name} must be {list(shape)} to go with x {list(x.shape)}, got {_describe(tensor)}")
    # bfloat16 beside float32 is what autocast makes; float64 beside either is a slip.
    allowed = _SMALL_FLOATS if x.dtype in _SMALL_FLOATS else (torch.float64,)
    if tensor.dtype not in allowed or tensor.device != x.device:
        raise ValueError(f"{name} must have the type and device of x, {x.dtype} on {x.device}, got {_describe(tensor)}")


def _describe(tensor: Tensor) -> str:
    return f"{tensor.dtype} {list(tensor.shape)} on {tensor.device}"
