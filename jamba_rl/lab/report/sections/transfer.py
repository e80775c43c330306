"""What a backbone is worth that was trained on another task: against the same agent from nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamba_rl.lab.report.numbers import NOTHING, percent, percent_estimate, percent_interval, plural, verdict
from jamba_rl.lab.report.page import Cell, Section, Table
from jamba_rl.lab.report.study import Study, by_task
from jamba_rl.lab.stats import Interval, bootstrap_pair, mean_difference, relative_improvement, tell

COLUMNS = ("agent", "backbone from", "final reward", "95% interval", "mean reward", "95% interval", "seeds")


@dataclass(frozen=True)
class Transfer:
    """An agent on an env whose runs began with what another agent had learned elsewhere.

    :ivar origin: that env
    :ivar plain: that agent, which also was run on this env, from nothing
    """

    env: str
    agent: str
    origin: str
    plain: str


def transfer(study: Study) -> Section | None:
    """Every agent that began with a backbone, next to itself from nothing."""
    found = [each for _, each in by_task(study, lambda *who: _transfer(study, *who)) if each is not None]
    if not found:
        return None
    return Section(
        "transfer",
        "Transfer",
        " ".join(_sentence(study, each) for each in found if study.has(each.plain, each.env)),
        words=[
            "How much more an agent gains over random actions if it begins with the backbone that it learned on "
            "another task, than the same agent from nothing: in its final score, and in the mean of all its "
            "evaluations, which has the head start in it."
        ],
        points=[_missing(each) for each in found if not study.has(each.plain, each.env)],
        parts=[Table(COLUMNS, [(each.env, _row(study, each)) for each in found], frozenset(COLUMNS[:2]))],
    )


def _transfer(study: Study, env: str, agent: str) -> Transfer | None:
    start = study.runs_of(agent, env)[0].start
    return Transfer(env, agent, start.env, start.agent) if start else None


def _change(study: Study, found: Transfer, column: str) -> Interval:
    """Of what is gained over random actions; nothing is known where theirs or one of the runs is missing."""
    random = study.anchors[found.env].random
    if random is None or not study.has(found.plain, found.env):
        return Interval(np.nan)
    ours, theirs = ([study.values(agent, found.env, column) - random] for agent in (found.agent, found.plain))
    return bootstrap_pair(ours, theirs, relative_improvement)


def _sentence(study: Study, found: Transfer) -> str:
    change = _change(study, found, "final")
    finals = [study.values(agent, found.env) for agent in (found.agent, found.plain)]
    chance = tell(finals[:1], finals[1:], mean_difference)
    said = f"{percent_estimate(change, '+')}, {verdict(chance, min(map(len, finals)))}"
    known = said if np.isfinite(change.value) else "not measured, for want of the score of random actions"
    return f"From `{found.origin}` to `{found.env}`: {known}."


def _missing(found: Transfer) -> str:
    return f"`{found.agent}` on `{found.env}` has nothing to be compared with: `{found.plain}` was not run there."


def _row(study: Study, found: Transfer) -> list[Cell | str]:
    final, area = (_change(study, found, column) for column in ("final", "area_under_curve"))
    counts = [len(study.of(agent, found.env)) for agent in (found.agent, found.plain)]
    return [
        Cell(found.agent, agent=found.agent),
        f"`{found.plain}` on `{found.origin}`",
        *(percent(final.value, sign="+"), percent_interval(final)),
        *(percent(area.value, sign="+"), percent_interval(area)),
        f"{plural(counts[0], 'seed')}, {counts[1] or NOTHING} from nothing",
    ]
