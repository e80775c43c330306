"""Seconds per call, of several contenders who take turns so that a drift of the machine meets all alike."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

Call = Callable[[], object]


@dataclass(frozen=True)
class Times:
    """Seconds per call of one contender, one number per round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """What counts."""
        return statistics.median(self.rounds)


@dataclass(frozen=True)
class Ratio:
    """Median and extremes of the ratios of single rounds: in one round both met the same machine."""

    value: float
    low: float
    high: float


def interleaved(contenders: Mapping[str, Call], rounds: int, sample: float = 0.02) -> dict[str, Times]:
    """Time everyone once per round, round after round.

    :param contenders: what to call, by name
    :param rounds: timed rounds, after one warm-up
    :param sample: least seconds of one sample; quick calls are repeated within it
    """
    repeats = {name: _repeats(call, sample) for name, call in contenders.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    with _no_garbage_collection():
        for _ in range(rounds):
            for name, call in contenders.items():
                seconds[name].append(_sample(call, repeats[name]))
    return {name: Times(tuple(values)) for name, values in seconds.items()}


def ratio(above: Times, below: Times) -> Ratio:
    """Divide the times of two who took turns.

    >>> ratio(Times((2.0, 6.0, 4.0)), Times((1.0, 2.0, 2.0)))
    Ratio(value=2.0, low=2.0, high=3.0)
    """
    singles = [a / b for a, b in zip(above.rounds, below.rounds, strict=True)]
    return Ratio(statistics.median(singles), min(singles), max(singles))


def _repeats(call: Call, sample: float) -> int:
    """Warm up, and find how many calls fill a sample: the first call may build or allocate what later ones find."""
    if (first := _sample(call, 1)) >= 10 * sample:
        return 1  # too long to be told apart from its warm-up
    return max(1, math.ceil(sample / min(first, _sample(call, 1), _sample(call, 1))))


def _sample(call: Call, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """As timeit does: a collection would hit whoever happens to run."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
