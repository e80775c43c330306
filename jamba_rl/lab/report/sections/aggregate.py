"""How good agents are over several tasks, after Agarwal et al. 2021."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jamba_rl.lab.report.blocks import Block, blocks
from jamba_rl.lab.report.numbers import estimate, interval, listed, number, percent, percent_estimate, plural, verdict
from jamba_rl.lab.report.order import OURS, kind
from jamba_rl.lab.report.page import Bar, Bars, Chart, Group, Line, Section
from jamba_rl.lab.report.sections.lead import ranking
from jamba_rl.lab.report.study import Study
from jamba_rl.lab.stats import (
    Chance,
    Interval,
    bootstrap,
    bootstrap_pair,
    iqm,
    performance_profile,
    probability_of_improvement,
    tell,
)
from jamba_rl.lab.stats.bootstrap import Scores

THRESHOLDS = 101  # of a profile
MOST_NAMES = 4  # in a title
TELLS = ("mostly beats", "is mostly beaten by", "cannot be told from", "has too few seeds to be told from")


def aggregate(study: Study) -> Section | None:
    """Normalised scores with all tasks taken together."""
    made = blocks(study)
    if not made:
        return None
    return Section(
        "aggregate",
        "Aggregate scores",
        highest_iqm(study),
        words=[
            "Normalised scores: 0 is what random actions get, 1 the reference of a task. Intervals are 95% bootstrap "
            "intervals; runs are resampled within each task. Agents are compared on the tasks that all of them were "
            "run on."
        ],
        parts=[Group(_title(block), _parts(study, block, f"-{i + 1}" if i else "")) for i, block in enumerate(made)],
        notes=[
            "Interquartile mean: the mean of the middle half of all runs. Performance profile: the share of runs that "
            "score more than a threshold; who is further up and right is better. Probability of improvement: how often "
            "a run of one agent scores more than one of the other on the same task, ties counting half.",
        ],
    )


def highest_iqm(study: Study) -> str:
    """Who is best on the tasks of the largest comparison; nothing where nothing is compared."""
    made = blocks(study)
    return _best(study, made[0]) + f" Compared are {_title(made[0])}." if made else ""


def _title(block: Block) -> str:
    names = ", ".join(block.envs) if len(block.envs) <= MOST_NAMES else plural(len(block.envs), "task")
    return f"{plural(len(block.agents), 'agent')} on {names}"


def _parts(study: Study, block: Block, suffix: str) -> list[Bars | Chart]:
    ours = next((agent for agent in block.agents if kind(agent) == OURS), block.agents[0])
    return [
        _iqm(study, block, suffix),
        _improvement(study, block, ours, suffix),
        _profiles(study, block, suffix),
    ]


def _best(study: Study, block: Block) -> str:
    """The two highest interquartile means, and whether chance makes the difference."""
    strata = {agent: block.strata(study, agent) for agent in block.agents}
    (first, *same), *others = ranking({agent: float(iqm(runs)) for agent, runs in strata.items()})
    top = bootstrap(strata[first], iqm)
    if same:
        return f"{listed([first, *same])} have the same interquartile mean, the highest: {estimate(top, 2)}."
    second = others[0][0]
    pair = (strata[first], strata[second], _iqm_difference)
    by, chance = bootstrap_pair(*pair), tell(*pair)
    fewest = min(len(runs) for agent in (first, second) for runs in strata[agent])
    return (
        f"`{first}` has the highest interquartile mean, {estimate(top, 2)}, ahead of `{second}` by {estimate(by, 2)}, "
        f"{verdict(chance, fewest)}."
    )


def _iqm_difference(ours: Sequence[Scores], theirs: Sequence[Scores]) -> Scores:
    return iqm(ours) - iqm(theirs)


def _iqm(study: Study, block: Block, suffix: str) -> Bars:
    found = {agent: bootstrap(block.strata(study, agent), iqm) for agent in block.agents}
    bars = [Bar(agent, each, f"{number(each.value, 2)} {interval(each, 2)}") for agent, each in found.items()]
    return Bars(f"all-iqm{suffix}", "Interquartile mean", bars, finding=_best(study, block), label="normalised score")


def _profiles(study: Study, block: Block, suffix: str) -> Chart:
    strata = {agent: block.strata(study, agent) for agent in block.agents}
    every = np.concatenate([runs for each in strata.values() for runs in each])
    low, high = min(0.0, every.min()), max(1.0, every.max())
    thresholds = np.linspace(low, high + 0.02 * (high - low), THRESHOLDS)
    lines = []
    for agent, runs in strata.items():
        profile = performance_profile(runs, thresholds)
        known = not np.isnan(profile.low).any()
        band = {"low": profile.low.tolist(), "high": profile.high.tolist()} if known else {}
        lines.append(Line(agent, thresholds.tolist(), profile.share.tolist(), **band))
    half = {agent: float(performance_profile(runs, np.array([0.5])).share[0]) for agent, runs in strata.items()}
    shares = ", ".join(f"{percent(share)} of those of `{agent}`" for agent, share in half.items())
    return Chart(
        name=f"all-profiles{suffix}",
        title="Performance profiles",
        lines=lines,
        x_label="normalised score",
        y_label="share of runs above",
        finding=f"Of all runs, more than 0.5 is scored by {shares}.",
        share=True,
    )


def _improvement(study: Study, block: Block, ours: str, suffix: str) -> Bars:
    mine = block.strata(study, ours)
    others = {agent: block.strata(study, agent) for agent in block.agents if agent != ours}
    found = {agent: bootstrap_pair(mine, runs, probability_of_improvement) for agent, runs in others.items()}
    chances = {agent: tell(mine, runs, _edge) for agent, runs in others.items()}
    bars = [Bar(agent, each, percent_estimate(each)) for agent, each in found.items()]
    return Bars(
        f"all-improvement{suffix}",
        "Probability of improvement",
        bars,
        finding=_tells(ours, found, chances),
        label=f"chance that {ours} scores more",
        marks=[(0.5, "even")],
        share=True,
    )


def _edge(ours: Sequence[Scores], theirs: Sequence[Scores]) -> Scores:
    return probability_of_improvement(ours, theirs) - 0.5


def _tells(ours: str, found: Mapping[str, Interval], chances: Mapping[str, Chance]) -> str:
    """Whom an agent is better or worse than, and of whom that is not known."""
    groups: dict[str, list[str]] = {verb: [] for verb in TELLS}
    for agent, each in found.items():
        groups[_verb(each, chances[agent])].append(agent)
    return f"`{ours}` {'; '.join(f'{verb} {listed(agents)}' for verb, agents in groups.items() if agents)}."


def _verb(beats: Interval, chance: Chance) -> str:
    better, worse, same, unknown = TELLS
    known = better if beats.value > 0.5 else worse
    return {Chance.NO: known, Chance.MAYBE: same, Chance.UNKNOWN: unknown}[chance]
