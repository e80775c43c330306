"""How a Jamba compares with every other agent, task by task and over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from jamba_rl.lab.report.numbers import NOTHING, estimate, listed, percent_estimate, plural
from jamba_rl.lab.report.order import OURS, kind
from jamba_rl.lab.report.page import Cell, Row, Section, Table
from jamba_rl.lab.report.study import Study
from jamba_rl.lab.stats import Interval, bootstrap_pair, iqm, probability_of_improvement
from jamba_rl.lab.stats.bootstrap import Scores
from jamba_rl.lab.stats.ratio import change

EVEN = 0.5
Compare = Callable[[Sequence[Scores], Sequence[Scores]], Scores]


@dataclass(frozen=True)
class Duel:
    """An agent, another of the same algorithm, and the tasks on which both were run."""

    study: Study
    ours: str
    other: str
    envs: tuple[str, ...]

    def beats(self, envs: Sequence[str] = ()) -> Interval:
        """How often a run of ours scores more; on all tasks of both, if none are named."""
        return self._found(envs or self.envs, "final", probability_of_improvement)

    def ahead(self, compare: Compare) -> Interval | None:
        """How the interquartile means compare, over the tasks of both that have a scale; nothing if none has one."""
        envs = [env for env in self.envs if self.study.anchors[env].whole]
        return self._found(envs, "normalised", compare) if envs else None

    def sides(self) -> tuple[list[str], list[str]]:
        """Tasks on which the whole interval says that ours is better, and those on which it says worse."""
        found = {env: self.beats([env]) for env in self.envs}
        known = {env: each for env, each in found.items() if each.known}
        better = [env for env, each in known.items() if each.low > EVEN]
        return better, [env for env, each in known.items() if each.high < EVEN]

    def _found(self, envs: Sequence[str], column: str, compare: Compare) -> Interval:
        mine, theirs = ([self.study.values(who, env, column) for env in envs] for who in (self.ours, self.other))
        return bootstrap_pair(mine, theirs, compare)


def duels(study: Study) -> Section | None:
    """A Jamba against each other agent, where there are several tasks to compare them on."""
    made = [pairs for ours in study.agents if kind(ours) == OURS and (pairs := _duels(study, ours))]
    if not made:
        return None
    return Section(
        "duels",
        "One against one",
        words=[
            "How often a run of the first agent scores more than one of the other on the same task, ties counting "
            "half, with its 95% bootstrap interval; bold where the whole interval is above an even chance. Below that, "
            "over all tasks that both were run on: the same, and by how much the interquartile mean of normalised "
            "scores is higher. With fewer than five seeds intervals are too narrow."
        ],
        points=[_said(pair) for pairs in made for pair in pairs],
        parts=[_table(pairs) for pairs in made],
    )


def _duels(study: Study, ours: str) -> list[Duel]:
    others = [agent for agent in study.agents if agent != ours and study.part(agent) == study.part(ours)]
    of_ours = [env for env in study.envs if study.has(ours, env)]
    shared = {other: tuple(env for env in of_ours if study.has(other, env)) for other in others}
    return [Duel(study, ours, other, envs) for other, envs in shared.items() if len(envs) > 1]


def _said(pair: Duel) -> str:
    better, worse = pair.sides()
    won = f"above an even chance with the whole interval on {len(better)} of {plural(len(pair.envs), 'task')}"
    lost = f", below on {listed(worse)}" if worse else ", below on none"
    return f"`{pair.ours}` beats `{pair.other}` {percent_estimate(pair.beats())} of the time, {won}{lost}."


def _table(pairs: Sequence[Duel]) -> Table:
    envs = sorted({env for pair in pairs for env in pair.envs})
    rows: list[tuple[str, Row]] = [(env, [_cell(pair, env) for pair in pairs]) for env in envs]
    return Table([f"against {pair.other}" for pair in pairs], [*rows, *_over_all(pairs)])


def _cell(pair: Duel, env: str) -> Cell | str:
    return _chance(pair.beats([env])) if env in pair.envs else NOTHING


def _chance(found: Interval) -> Cell:
    return Cell(percent_estimate(found), best=found.low > EVEN)


def _over_all(pairs: Sequence[Duel]) -> Iterator[tuple[str, Row]]:
    yield "all tasks of both", [_chance(pair.beats()) for pair in pairs]
    apart = [pair.ahead(_difference) for pair in pairs]
    if any(apart):
        yield "interquartile mean, difference", [estimate(each, 2) if each else NOTHING for each in apart]
        shares = [pair.ahead(_relative) for pair in pairs]
        yield "interquartile mean, relative", [percent_estimate(each, "+") if each else NOTHING for each in shares]


def _difference(ours: Sequence[Scores], theirs: Sequence[Scores]) -> Scores:
    return iqm(ours) - iqm(theirs)


def _relative(ours: Sequence[Scores], theirs: Sequence[Scores]) -> Scores:
    return change(iqm(ours), iqm(theirs))
