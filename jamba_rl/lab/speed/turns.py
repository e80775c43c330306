"""Subjects that are timed in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.number import Number, timed
from jamba_rl.lab.speed.subject import Subject
from jamba_rl.lab.speed.timing import Call, Times, ratio

CallOf = Callable[[Subject, int, int], Call]
"""Of a subject, a batch and a number of steps."""


def in_turn(
    part: str, quantity: str, call: CallOf, subjects: dict[str, Subject], at: tuple[int, int], effort: Effort
) -> list[Number]:
    """Time all subjects, round after round; the slow ones have few rounds, and those they are held against are there.

    :param at: batch and steps
    """
    numbers = []
    for slow in (False, True):
        group = [name for name, who in subjects.items() if who.slow is slow]
        there = dict.fromkeys([*group, *(subjects[name].against for name in group if subjects[name].against)])
        times = effort.time({name: call(subjects[name], *at) for name in there}, slow)
        for name in group:
            number = timed(part, name, quantity, times[name], "ms", *at)
            numbers.append(_held_against(number, times, subjects[name].against))
    return numbers


def _held_against(number: Number, times: dict[str, Times], own: str) -> Number:
    return replace(number, against=own, ratio=ratio(times[number.name], times[own]).value) if own else number
