"""One row of the table: a number, what it is compared with, and whether it is good enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jamba_rl.lab.speed.timing import Ratio, Times, ratio

UNITS = {"ms": 1e3, "us": 1e6}  # in a second


class Absent(Exception):
    """Something that a row needs is not there; the message says how to get it."""


@dataclass(frozen=True)
class Bar:
    """What a number has to reach.

    >>> str(Bar(0.35, "x")), Bar(0.35, "x").met(0.3), Bar(100, "x", at_least=True).met(99.0)
    ('<= 0.35x', True, False)
    """

    limit: float
    unit: str = ""
    at_least: bool = False

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g}{self.unit}"

    def met(self, value: float) -> bool:
        """Whether a value is good enough; NaN never is."""
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class Figures:
    """What was measured.

    :ivar value: what the bar is for
    :ivar low: lowest of the repeated measurements of value; None where it was measured once
    :ivar high: highest of them
    :ivar ours: our side of a comparison
    :ivar peer: the other side, in the same unit
    :ivar unit: unit of ours and peer
    :ivar details: all else that is worth keeping
    """

    value: float
    low: float | None = None
    high: float | None = None
    ours: float | None = None
    peer: float | None = None
    unit: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One row: ``met`` is yes, no, absent, or empty where there is no bar; ``value`` is in the unit of the bar."""

    name: str
    what: str
    against: str
    bar: str
    met: str
    figures: Figures | None
    note: str = ""


def make_row(
    name: str, what: str, against: str, bar: Bar | None, measure: Callable[[], Figures], note: str = ""
) -> Row:
    """Measure, and judge; a peer that is absent makes a row that says so.

    :param name: of the measurement, as in ``--only``
    :param what: what is measured, with its sizes
    :param against: who stands on the other side
    """
    said = "" if bar is None else str(bar)
    try:
        figures = measure()
    except Absent as absent:
        return Row(name, what, against, said, "absent", None, str(absent))
    met = "" if bar is None else "yes" if bar.met(figures.value) else "no"
    return Row(name, what, against, said, met, figures, note)


def slower(ours: Times, peer: Times, unit: str = "ms", per: int = 1) -> Figures:
    """How many times longer the other takes.

    :param unit: ``ms`` or ``us``, for what one call takes
    :param per: parts of a call, where the time of one part is wanted
    """
    return _compare(ratio(peer, ours), ours, peer, unit, per)


def share(ours: Times, peer: Times, unit: str = "ms", per: int = 1) -> Figures:
    """What part of the other's time ours takes; arguments as ``slower``."""
    return _compare(ratio(ours, peer), ours, peer, unit, per)


def _compare(quotient: Ratio, ours: Times, peer: Times, unit: str, per: int) -> Figures:
    scale = UNITS[unit] / per
    details = {f"{who}, by round": [scale * t for t in times.rounds] for who, times in (("ours", ours), ("peer", peer))}
    medians = (scale * ours.median, scale * peer.median)
    return Figures(quotient.value, quotient.low, quotient.high, *medians, unit, details)
