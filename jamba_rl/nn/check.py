"""What a stack accepts, said once and clearly; a handful of comparisons per call."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jamba_rl.nn.mixer import State


def check_input(
    x: Tensor, state: State | None, reset: Tensor | None, weight: Tensor, *, steps: bool, parts: int
) -> None:
    """Raise ValueError unless the arguments of a stack fit it and each other.

    Values are looked at on the CPU only: elsewhere that would make every call wait for the device.

    :param x: (B, T, D), or (B, D) unless ``steps``
    :param state: ``parts`` tensors with B rows each, or None
    :param reset: bool (B, T), or (B,)
    :param weight: (D,) parameter whose type and device count
    """
    shape, width = x.shape, weight.shape[0]
    if x.dim() != 2 + steps or shape[-1] != width or 0 in shape:
        allowed = f"(batch, time, {width})" if steps else f"(batch, {width})"
        raise ValueError(f"x must be {allowed}, none of them 0; was {tuple(shape)}")
    if x.device != weight.device or not (x.dtype is weight.dtype or _autocasts(x)):
        raise ValueError(f"x must be {weight.dtype} on {weight.device} as the parameters are; {_given(x)}")
    if reset is not None and (reset.dtype is not torch.bool or reset.shape != shape[:-1] or reset.device != x.device):
        raise ValueError(f"reset must be torch.bool {tuple(shape[:-1])} on {x.device}; {_given(reset)}")
    if state is not None:
        _check_state(state, x, parts)
    if x.is_cpu and not torch.compiler.is_compiling():
        _check_values(x)


def _check_state(state: State, x: Tensor, parts: int) -> None:
    if len(state) != parts:
        raise ValueError(f"state must have {parts} parts, as initial_state makes it; had {len(state)}")
    batch, device = x.shape[0], x.device
    for part in state:
        if part.shape[0] != batch or part.device != device:
            raise ValueError(f"state must be of {batch} sequences on {device}, as x is; {_given(part)}")


def _check_values(x: Tensor) -> None:
    # One sum says it nearly always, at a tenth of the price; it may overflow where no value is infinite.
    if not math.isfinite(x.sum().item()) and not torch.isfinite(x).all():
        bad = x.numel() - int(torch.isfinite(x).sum())
        raise ValueError(f"x must be finite; {bad} of its {x.numel()} values are infinite or not a number")


def _autocasts(x: Tensor) -> bool:
    return x.is_floating_point() and torch.is_autocast_enabled(x.device.type)


def _given(tensor: Tensor) -> str:
    return f"was {tensor.dtype} {tuple(tensor.shape)} on {tensor.device}"
