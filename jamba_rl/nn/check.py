"""What a stack accepts, said once and clearly; a handful of comparisons per call."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from jamba_rl.nn.mixer import State

HALF = (torch.float16, torch.bfloat16)


def check_count(name: str, value: object, low: int = 1, high: int | None = None) -> None:
    """Raise ValueError unless ``value`` is a whole number, ``low`` at least and ``high`` at most."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        allowed = f"from {low} to {high}" if high is not None else f"above {low - 1}" if low else "0 or above"
        raise ValueError(f"{name} must be a whole number {allowed}, was {value!r:.80}")


def check_type(name: str, value: object, kind: type) -> None:
    """Raise ValueError unless ``value`` is of a type."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a {kind.__name__}, was {type(value).__name__}")


class Part(NamedTuple):
    """What one tensor of a state has to be: its shape without the batch, where None is any length, and its type."""

    shape: tuple[int | None, ...]
    is_float: bool


def parts_of(state: State, growing: bool) -> list[Part]:
    """Describe a state of no sequences; where memory is ``growing``, the length of caches is free."""
    return [
        Part(
            (None, *part.shape[2:]) if growing and part.dim() == 4 else tuple(part.shape[1:]), part.is_floating_point()
        )
        for part in state
    ]


def check_input(
    x: Tensor, state: State | None, reset: Tensor | None, weight: Tensor, *, steps: bool, parts: list[Part]
) -> None:
    """Raise ValueError unless the arguments of a stack fit it and each other.

    Values are looked at on the CPU only: elsewhere that would make every call wait for the device.

    :param x: (B, T, D), or (B, D) unless ``steps``
    :param state: tensors as ``parts`` say with B rows each, or None
    :param reset: bool (B, T), or (B,)
    :param weight: (D,) parameter whose type and device count
    """
    if not isinstance(x, Tensor):
        raise ValueError(f"x must be a tensor, was {type(x).__name__}")
    shape, width = x.shape, weight.shape[0]
    if x.dim() != 2 + steps or shape[-1] != width or 0 in shape:
        allowed = f"(batch, time, {width})" if steps else f"(batch, {width})"
        raise ValueError(f"x must be {allowed}, none of them 0; was {tuple(shape)}")
    if x.device != weight.device or not (x.dtype is weight.dtype or _autocasts(x)):
        raise ValueError(f"x must be {weight.dtype} on {weight.device} as the parameters are; {_given(x)}")
    check_memory(shape[:-1], state, reset, weight, parts)
    if x.is_cpu and not torch.compiler.is_compiling():
        _check_values(x)


def check_memory(
    shape: tuple[int, ...], state: State | None, reset: Tensor | None, weight: Tensor, parts: list[Part]
) -> None:
    """Raise ValueError unless a memory and resets fit inputs of a shape, (B, T) or (B,); rest as of ``check_input``."""
    if reset is not None:
        if not isinstance(reset, Tensor):
            raise ValueError(f"reset must be a tensor, was {type(reset).__name__}")
        if reset.dtype is not torch.bool or reset.shape != shape or reset.device != weight.device:
            raise ValueError(f"reset must be torch.bool {tuple(shape)} on {weight.device}; {_given(reset)}")
    if state is not None:
        _check_state(state, shape[0], weight, parts)


def _check_state(state: State, batch: int, weight: Tensor, parts: list[Part]) -> None:
    if not isinstance(state, tuple) or len(state) != len(parts):
        given = f"{len(state)} of them" if isinstance(state, tuple) else type(state).__name__
        raise ValueError(f"state must be a tuple of {len(parts)} tensors, as initial_state makes it; was {given}")
    device, dtype = weight.device, weight.dtype
    for i, (part, (shape, is_float)) in enumerate(zip(state, parts, strict=True)):
        if not _fits(part, batch, shape) or part.device != device or not _is_kind(part, is_float, dtype):
            sizes = ", ".join("any" if size is None else str(size) for size in (batch, *shape))
            kind = dtype if is_float else torch.int64
            given = _given(part) if isinstance(part, Tensor) else f"was {type(part).__name__}"
            raise ValueError(f"part {i} of state must be {kind} ({sizes}) on {device}, as of initial_state; {given}")


def _fits(part: Tensor, batch: int, shape: tuple[int | None, ...]) -> bool:
    if not isinstance(part, Tensor) or part.dim() != 1 + len(shape) or part.shape[0] != batch:
        return False
    if shape and shape[0] is None:
        return part.shape[2:] == shape[1:]
    return part.shape[1:] == shape


def _is_kind(part: Tensor, is_float: bool, dtype: torch.dtype) -> bool:
    if not is_float:
        return part.dtype is torch.int64
    # Layers of half a precision remember in single.
    return part.dtype is dtype or (part.dtype is torch.float32 and dtype in HALF)


def _check_values(x: Tensor) -> None:
    # One sum says it nearly always, at a tenth of the price; it may overflow where no value is infinite.
    if not math.isfinite(x.sum().item()) and not torch.isfinite(x).all():
        bad = x.numel() - int(torch.isfinite(x).sum())
        raise ValueError(f"x must be finite; {bad} of its {x.numel()} values are infinite or not a number")


def _autocasts(x: Tensor) -> bool:
    return x.dtype in (*HALF, torch.float32) and torch.is_autocast_enabled(x.device.type)


def _given(tensor: Tensor) -> str:
    return f"was {tensor.dtype} {tuple(tensor.shape)} on {tensor.device}"
