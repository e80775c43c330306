"""What a Jamba was expected to gain over a simple state space model, and what these runs say."""

from __future__ import annotations

from collections.abc import Sequence

from jamba_rl.lab.report.findings import Finding, findings
from jamba_rl.lab.report.numbers import NOTHING, decimals, number, percent, percent_interval, plural, steps
from jamba_rl.lab.report.page import Cell, Section, Table
from jamba_rl.lab.report.study import Study, by_task
from jamba_rl.lab.stats import CLAIMS, coefficient_of_variation
from jamba_rl.lab.stats.claims import FEWEST


def expected(study: Study) -> Section | None:
    """Verdicts, and the expectation's own metrics."""
    found = findings(study)
    columns = ("expectation", "against", "expected", "found", "95% interval", "seeds", "verdict")
    words = (
        "DHC-Jamba expected a Jamba to gain on a simple state space model: +20 to +36% final reward, 20 to 29% fewer "
        "steps, 37 to 57% less spread, and never measured it. Confirmed means that the whole interval is at least as "
        f"much as the smaller number, refuted that none of it is; with fewer than {FEWEST} seeds a side nothing is "
        "decided."
    )
    if found:
        rows = [(finding.where, _row(finding)) for finding in found]
        judged = [Table(columns, rows, frozenset({"expectation", "against", "verdict"}))]
    else:
        judged = []
        words += " Not tested here: that needs a Jamba and a simple state space model (`ssm`) on the same task."
    own = ("agent", "final", "learning speed", "stability", "CV", "peak")
    return Section(
        "expected",
        "Against a simple SSM",
        verdicts(study),
        words=[words],
        parts=[*judged, Table(own, by_task(study, lambda *who: _own_row(study, *who)))],
        notes=[
            "Reward is measured from what random actions get, since a ratio of negative returns means nothing; tasks "
            "that say nothing, such as those that the state space model has all but solved, are left out. Steps "
            "are the median to 90% of the state space model's final score, those of runs that never got there counting "
            "as their whole budget; the interval allows for what happened between two evaluations, and after the last. "
            "Spread is the standard deviation over seeds.",
            "The second table has DHC-Jamba's own metrics. Learning speed: median of the steps to 90% of a run's own "
            "final score, of the runs that gained something over random actions. Stability: standard deviation of the "
            "evaluations of a run, so most of it is learning. CV: standard deviation over seeds over the size of the "
            "mean. Peak: the best evaluation of a run, which is chance in part and never a score here. Final, "
            "stability and peak are means over seeds.",
        ],
    )


def verdicts(study: Study) -> str:
    """What became of expectations, on all tasks where there are several; nothing where none was tested."""
    pairs: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings(study):
        pairs.setdefault((finding.ours, finding.theirs), []).append(finding)
    return " ".join(_verdicts(each[-len(CLAIMS) :]) for each in pairs.values())


def _verdicts(found: Sequence[Finding]) -> str:
    first = found[0]
    said = "; ".join(f"{each.claim.name} {each.words}, {each.verdict}" for each in found)
    return f"`{first.ours}` and `{first.theirs}` on {first.where}, {plural(first.runs, 'seed')}: {said}."


def _row(finding: Finding) -> list[Cell | str]:
    change = finding.change
    return [
        finding.claim.name,
        Cell(finding.theirs, agent=finding.theirs),
        finding.claim.words,
        finding.reason or f"{percent(change.value, sign='+')}{finding.without}",
        NOTHING if finding.reason else percent_interval(change),
        str(finding.runs),
        Cell(finding.verdict, verdict=finding.verdict),
    ]


def _own_row(study: Study, env: str, agent: str) -> list[Cell | str]:
    rows = study.of(agent, env)
    digits = decimals(study.scores.final[study.scores.env == env])
    own = rows.steps_to_90_of_own_final.median()  # of the runs that gained something
    return [
        Cell(agent, agent=agent),
        number(rows.final.mean(), digits),
        steps(own, rows.budget.max()),
        number(rows.std_in_training.mean(), digits),
        number(coefficient_of_variation(study.values(agent, env)), 2),
        number(rows.peak.mean(), digits),
    ]
