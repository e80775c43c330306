"""Which layer stands where: patterns as letters, as period and offset, or as a ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping

MIXERS = {
    "M": "Mamba", "A": "attention", "S": "linear SSM", "L": "LSTM", "G": "GRU", "P": "simple SSM", "N": "none",
}  # fmt: skip
MEMORYLESS = "PN"
FEEDFORWARDS = {"D": "dense", "E": "experts", "-": "none"}


def letters(name: str, pattern: object, allowed: Mapping[str, str]) -> str:
    """Return the pattern, or raise ValueError unless it is made of ``allowed`` letters."""
    if not isinstance(pattern, str) or not pattern:
        raise ValueError(f"{name} {pattern!r}: needs one letter per block out of {', '.join(allowed)}")
    for letter in pattern:
        if letter not in allowed:
            raise ValueError(f"{name} {pattern!r}: letter {letter!r} is unknown; allowed are {', '.join(allowed)}")
    return pattern


def periodic(name: str, common: str, special: str, period: int, offset: int | None = None) -> str:
    """Return one period: ``special`` at block ``offset`` (default: the last), ``common`` elsewhere.

    >>> periodic("attn", "M", "A", 8, 4)
    'MMMMAMMM'
    """
    if isinstance(period, bool) or not isinstance(period, int) or period < 1:
        raise ValueError(f"{name}_period must be a whole number above 0, was {period!r}")
    offset = period - 1 if offset is None else offset
    if isinstance(offset, bool) or not isinstance(offset, int) or not 0 <= offset < period:
        raise ValueError(f"{name}_offset must be from 0 to {period - 1} for {name}_period {period}, was {offset!r}")
    return common * offset + special + common * (period - offset - 1)


def repeat(pattern: str, length: int) -> str:
    """Return the pattern repeated, and cut, to a length."""
    return (pattern * math.ceil(length / len(pattern)))[:length]
