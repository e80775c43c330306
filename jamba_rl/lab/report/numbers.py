"""Numbers as they are read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import inf, isfinite, isinf, isnan

from jamba_rl.lab.stats import Chance, Interval

NOTHING = "\N{EN DASH}"


def decimals(values: Iterable[float]) -> int:
    """How many decimals numbers of one column need: three digits of the largest.

    >>> decimals([-157.2, 3.0]), decimals([0.53, -0.2]), decimals([])
    (0, 3, 0)
    """
    largest = max((abs(value) for value in values if isfinite(value)), default=100.0)
    return 0 if largest >= 100 else 1 if largest >= 10 else 2 if largest >= 1 else 3


def number(value: float | None, digits: int = 0, sign: str = "") -> str:
    """A number with thousands set apart; a dash for none.

    >>> number(-1234.56), number(0.5, 2), number(float("nan")), number(0.2, 1, "+"), number(-0.3)
    ('-1,235', '0.50', '–', '+0.2', '0')
    """
    if value is None or isnan(value):
        return NOTHING
    if isinf(value):
        return "∞" if value > 0 else "-∞"
    rounded = round(value, digits) + 0.0  # no -0
    return f"{rounded:{sign},.{digits}f}"


def percent(value: float | None, digits: int = 0, sign: str = "") -> str:
    """A share.

    >>> percent(0.256), percent(-0.5, sign="+"), percent(float("inf"))
    ('26%', '-50%', '∞')
    """
    text = number(None if value is None else 100 * value, digits, sign)
    return text if text in (NOTHING, "∞", "-∞") else text + "%"


def interval(found: Interval, digits: int = 0) -> str:
    """Ends of an interval.

    >>> interval(Interval(2.0, 1.0, 3.0), 1), interval(Interval(2.0))
    ('[1.0, 3.0]', '–')
    """
    return f"[{number(found.low, digits)}, {number(found.high, digits)}]" if found.known else NOTHING


def estimate(found: Interval, digits: int = 0) -> str:
    """A number and its interval, in a sentence.

    >>> estimate(Interval(2.0, 1.0, 3.0)), estimate(Interval(2.0))
    ('2 [1, 3]', '2 (no interval)')
    """
    return f"{number(found.value, digits)} {interval(found, digits) if found.known else '(no interval)'}"


def verdict(chance: Chance, runs: int) -> str:
    """Whether chance makes a difference of so many runs a side.

    >>> verdict(Chance.MAYBE, 5), verdict(Chance.UNKNOWN, 1)
    ('not more than chance at 5 seeds', 'too few seeds to tell (1)')
    """
    return f"{chance} ({runs})" if chance is Chance.UNKNOWN else f"{chance} at {plural(runs, 'seed')}"


def percent_interval(found: Interval, sign: str = "+") -> str:
    """Ends of an interval of shares.

    >>> percent_interval(Interval(0.2, -0.1, 0.5))
    '[-10%, +50%]'
    """
    return f"[{percent(found.low, sign=sign)}, {percent(found.high, sign=sign)}]" if found.known else NOTHING


def percent_estimate(found: Interval, sign: str = "") -> str:
    """A share and its interval.

    >>> percent_estimate(Interval(0.2, 0.1, 0.3)), percent_estimate(Interval(0.2), "+")
    ('20% [10%, 30%]', '+20%')
    """
    value = percent(found.value, sign=sign)
    return f"{value} {percent_interval(found, sign)}" if found.known else value


def steps(value: float, budget: float) -> str:
    """Env steps until something happened; of what never did, that it took more than there were.

    >>> steps(12_000, 100_000), steps(inf, 100_000), steps(float("nan"), 1)
    ('12,000', '> 100,000', '–')
    """
    return f"> {budget:,.0f}" if value == inf else number(value)


def minus(text: str) -> str:
    """The same with a minus sign where a number has a hyphen, as it is set in print.

    >>> minus("b-1 is -2")
    'b-1 is −2'
    """
    return re.sub(r"(?<![\w-])-(?=[\d∞])", "\N{MINUS SIGN}", text)


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun.

    >>> plural(1, "run"), plural(25, "run")
    ('1 run', '25 runs')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(names: Iterable[str]) -> str:
    """Names in a sentence, as code.

    >>> listed(["a", "b", "c"])
    '`a`, `b` and `c`'
    """
    *most, last = (f"`{name}`" for name in names)
    return f"{', '.join(most)} and {last}" if most else last
