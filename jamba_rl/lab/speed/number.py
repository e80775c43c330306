"""One line of the general benchmark: a number with the sizes it was measured at."""

from __future__ import annotations

from dataclasses import dataclass

from jamba_rl.lab.speed.timing import Times


@dataclass(frozen=True)
class Number:
    """What was measured, counted, or could not be.

    :ivar part: of the benchmark, as in ``--only``
    :ivar name: of the model, agent or layer
    :ivar quantity: what the number is of
    :ivar value: None where it is absent; ``note`` says why
    :ivar low: the quickest of the rounds, for what was timed
    :ivar high: the slowest of them
    :ivar batch: sequences of a call, where it depends on them
    :ivar steps: of each of these
    :ivar against: whom of ours it is held against, for what others wrote
    :ivar ratio: how many times as long it takes as that one: the median of single rounds, in which both took turns
    """

    part: str
    name: str
    quantity: str
    value: float | None
    unit: str = ""
    batch: int | None = None
    steps: int | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""
    against: str = ""
    ratio: float | None = None


def timed(part: str, name: str, quantity: str, times: Times, unit: str, batch: int, steps: int) -> Number:
    """The median of some rounds, in ``ms`` or ``us``."""
    scale = {"ms": 1e3, "us": 1e6}[unit]
    rounds = [scale * seconds for seconds in times.rounds]
    return Number(part, name, quantity, scale * times.median, unit, batch, steps, min(rounds), max(rounds))
