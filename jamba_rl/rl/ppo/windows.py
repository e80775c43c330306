"""How many steps a window has, and what must divide what."""

from __future__ import annotations

import warnings
from math import gcd

LONGEST_SEQUENCE = 64  # default limit: longer windows cost attention more and gave nothing


def window_length(n_steps: int, batch_size: int, given: int | None = None) -> int:
    """Steps per window: as given, or the largest divisor up to 64 of both ``n_steps`` and ``batch_size``.

    >>> window_length(128, 128), window_length(1000, 250), window_length(64, 256, 32)
    (64, 50, 32)
    """
    _check_positive(n_steps, batch_size)
    common = gcd(n_steps, batch_size)
    if given is None:
        return next(length for length in range(min(common, LONGEST_SEQUENCE), 0, -1) if common % length == 0)
    if isinstance(given, bool) or not isinstance(given, int):
        raise ValueError(f"sequence_length must be a whole number above 0, was {given!r}")
    if given < 1 or common % given:
        raise ValueError(
            f"sequence_length {given} must divide n_steps {n_steps} and batch_size {batch_size}; "
            f"the largest that does is {common}"
        )
    return given


def check_minibatch(n_steps: int, n_envs: int, batch_size: int) -> None:
    """Refuse a minibatch that would leave a smaller one behind.

    SB3 warns of it; a remainder has other statistics than the rest, down to a single transition,
    whose advantage cannot be normalised. One as large as the rollout or larger is the whole rollout.

    >>> check_minibatch(n_steps=65, n_envs=1, batch_size=64)
    Traceback (most recent call last):
        ...
    ValueError: batch_size 64 must divide the 65 transitions of a rollout (n_steps 65 x 1 envs); near are 13 and 65
    """
    _check_positive(n_steps, batch_size)
    total = n_steps * n_envs
    if batch_size >= total or total % batch_size == 0:
        return
    below = next(size for size in range(batch_size, 0, -1) if total % size == 0)
    above = next(size for size in range(batch_size, total + 1) if total % size == 0)
    raise ValueError(
        f"batch_size {batch_size} must divide the {total} transitions of a rollout "
        f"(n_steps {n_steps} x {n_envs} envs); near are {below} and {above}"
    )


def warn_of_single_steps(n_steps: int, batch_size: int, length: int) -> None:
    """Warn of windows that are one step long by accident."""
    if length == 1 and n_steps > 1 and batch_size > 1:
        warnings.warn(
            f"n_steps {n_steps} and batch_size {batch_size} have no common divisor from 2 to {LONGEST_SEQUENCE}, so "
            "windows are 1 step long and no gradient flows through time; to say that this is meant, give "
            "sequence_length=1",
            stacklevel=2,
        )


def _check_positive(n_steps: int, batch_size: int) -> None:
    for name, number in (("n_steps", n_steps), ("batch_size", batch_size)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, was {number}")
