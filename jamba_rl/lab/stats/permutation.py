"""Whether chance alone makes a difference: permutation test, labels shuffled within tasks (Fisher 1935)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from itertools import combinations, product
from math import comb, prod

import numpy as np
from numpy.typing import NDArray

from jamba_rl.lab.stats.bootstrap import Scores
from jamba_rl.lab.stats.claims import FEWEST

DRAWS = 10_000
LEVEL = 0.05  # of all shufflings, how many may do as much
ROUNDING = 1e-9  # of a difference: sums of the same numbers in another order are the same

Difference = Callable[[Sequence[Scores], Sequence[Scores]], Scores]
"""From the strata of two agents to how far they differ, 0 for equals; leading axes are a batch."""


class Chance(StrEnum):
    """What a difference of two agents is."""

    NO = "more than chance"
    MAYBE = "not more than chance"
    UNKNOWN = "too few seeds to tell"


def tell(ours: Sequence[Scores], theirs: Sequence[Scores], difference: Difference) -> Chance:
    """Tell a difference from chance, at the level of 5%; with fewer than five runs a side nothing is told.

    >>> mean_difference = lambda a, b: a[0].mean(axis=-1) - b[0].mean(axis=-1)
    >>> low = np.arange(5.0)
    >>> [str(tell([low + more], [low], mean_difference)) for more in (9.0, 1.0)]
    ['more than chance', 'not more than chance']
    """
    if min(runs.shape[-1] for runs in (*ours, *theirs)) < FEWEST:
        return Chance.UNKNOWN
    return Chance.NO if permutation_test(ours, theirs, difference) < LEVEL else Chance.MAYBE


def permutation_test(
    ours: Sequence[Scores], theirs: Sequence[Scores], difference: Difference, draws: int = DRAWS, seed: int = 0
) -> float:
    """Share of all ways to deal out the runs of each task that differ as much as the real one, either way.

    If no agent is better, that is less than 5% in no more than 5% of cases, however few runs there are and however they
    are distributed. Exact where there are no more ways than draws; else from draws, the real one among them.

    :param seed: of the draws

    >>> permutation_test([np.array([3.0, 4])], [np.array([1.0, 2])], lambda a, b: a[0].sum(-1) - b[0].sum(-1))
    0.3333333333333333
    """
    pooled = [np.concatenate(pair) for pair in zip(ours, theirs, strict=True)]
    counts = [len(runs) for runs in ours]
    sizes = list(zip(counts, map(len, pooled), strict=True))
    exact = prod(comb(size, count) for count, size in sizes) <= draws
    orders = _all_orders(sizes) if exact else _some_orders(sizes, draws, np.random.default_rng(seed))
    dealt = [runs[order] for runs, order in zip(pooled, orders, strict=True)]
    mine = [runs[:, :count] for runs, count in zip(dealt, counts, strict=True)]
    other = [runs[:, count:] for runs, count in zip(dealt, counts, strict=True)]
    real, found = abs(difference(ours, theirs)), np.abs(difference(mine, other))
    as_much = int((found >= real * (1 - ROUNDING)).sum())
    return as_much / len(found) if exact else (as_much + 1) / (draws + 1)


def _all_orders(sizes: Sequence[tuple[int, int]]) -> list[NDArray[np.int64]]:
    """Per task the runs in every way to deal them out, with every way of the other tasks: (ways, runs) each."""
    ways = [list(_dealt(count, size)) for count, size in sizes]
    return [np.array(orders) for orders in zip(*product(*ways), strict=True)]


def _dealt(count: int, size: int) -> Iterator[list[int]]:
    for first in combinations(range(size), count):
        yield [*first, *(run for run in range(size) if run not in first)]


def _some_orders(sizes: Sequence[tuple[int, int]], draws: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    return [rng.random((draws, size)).argsort(axis=1) for _, size in sizes]
