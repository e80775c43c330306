"""How much of what is hidden memory makes up for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from jamba_rl.lab.report.numbers import (
    decimals,
    interval,
    listed,
    number,
    percent,
    percent_estimate,
    percent_interval,
    plural,
)
from jamba_rl.lab.report.order import FRAMES, MEMORYLESS, OURS, kind
from jamba_rl.lab.report.page import Bar, Bars, Cell, Section, Table
from jamba_rl.lab.report.study import Study
from jamba_rl.lab.run import file_name
from jamba_rl.lab.stats import Chance, Interval, bootstrap, bootstrap_pair, gap_closed, gap_size, tell

COLUMNS = ("agent", "memoryless", "score", "sighted MLP", "gap closed", "95% interval")
Key = tuple[str, str]  # env and part


def memory(study: Study) -> Section | None:
    """Memory gap closed, wherever a task hides something."""
    keys = _keys(study)
    if not keys:
        return None
    missing = {key: text for key in keys if (text := _missing(study, *key))}
    gaps = _gaps(study)
    closed = _open(study, gaps)
    rows = [(env, _row(study, env, part, agent)) for env, part in closed for agent in _agents(study, env, part)]
    return Section(
        "memory",
        "Memory gap closed",
        closes(study),
        words=[
            "How much better an MLP is that sees everything is the gap that hiding something opens. A share of 0% is "
            "the score of the memoryless MLP on the task, 100% that of the same MLP on its sighted twin."
        ],
        points=[
            *missing.values(),
            *(_within(key, gap, study) for key, gap in gaps.items() if key not in closed),
            *_few(study, closed),
            *_frames(study, keys),
        ],
        parts=[
            *(_bars(study, env, closed) for env in dict.fromkeys(env for env, _ in closed)),
            *([Table(COLUMNS, [*rows, *_means(study, closed)])] if rows else []),
        ],
    )


def closes(study: Study) -> str:
    """What a Jamba closes on average, and next to it what a few frames do; nothing where it was not measured."""
    gaps = _open(study, _gaps(study))
    texts = []
    for part in ("ppo", "sac"):
        agents = [f"{part}-{OURS}", f"{part}-{FRAMES}"]
        envs = [env for env, each in gaps if each == part and study.has(agents[0], env)]
        shares = {
            agent: _share(study, part, agent, envs) for agent in agents if envs and _everywhere(study, agent, envs)
        }
        said = [f"`{agent}` closes {percent_estimate(each)}" for agent, each in shares.items()]
        where = f"`{envs[0]}`" if len(envs) == 1 else plural(len(envs), "task")
        texts += [f"on {where}, {', '.join(said)} of what hiding costs an MLP."] if said else []
    return _capital(" ".join(texts))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _everywhere(study: Study, agent: str, envs: Iterable[str]) -> bool:
    return all(study.has(agent, env) for env in envs)


def _keys(study: Study) -> list[Key]:
    hidden = [env for env in study.envs if study.task(env).sighted]
    return [(env, part) for env in hidden for part in ("ppo", "sac") if _agents(study, env, part)]


def _gaps(study: Study) -> dict[Key, Interval]:
    """Size of every gap that was measured."""
    return {key: _gap(study, *key) for key in _keys(study) if not _missing(study, *key)}


def _open(study: Study, gaps: Mapping[Key, Interval]) -> dict[Key, Interval]:
    """Those that are there beyond chance, or beyond their interval where seeds are too few to tell.

    A share of no gap means nothing.
    """
    there = {key: gap for key, gap in gaps.items() if gap.known and gap.low > 0}
    return {key: gap for key, gap in there.items() if _chance(study, *key) is not Chance.MAYBE}


def _chance(study: Study, env: str, part: str) -> Chance:
    blind, sighted = _anchors(study, env, part)
    return tell([study.values(*sighted)], [study.values(*blind)], gap_size)


def _agents(study: Study, env: str, part: str) -> list[str]:
    return [agent for agent in study.agents_on(env) if study.part(agent) == part and kind(agent) != MEMORYLESS]


def _anchors(study: Study, env: str, part: str) -> tuple[Key, Key]:
    """The memoryless agent where it is blind, and where it sees."""
    mlp = f"{part}-{MEMORYLESS}"
    return (mlp, env), (mlp, study.task(env).sighted or "")


def _missing(study: Study, env: str, part: str) -> str:
    absent = [f"`{agent}` on `{where}`" for agent, where in _anchors(study, env, part) if not study.has(agent, where)]
    return f"`{env}`: not measured, for want of runs of {' and of '.join(absent)}." if absent else ""


def _gap(study: Study, env: str, part: str) -> Interval:
    blind, sighted = _anchors(study, env, part)
    return bootstrap_pair([study.values(*sighted)], [study.values(*blind)], gap_size)


def _within(key: Key, gap: Interval, study: Study) -> str:
    (mlp, env), (_, sighted) = _anchors(study, *key)
    digits = decimals([gap.value])
    return (
        f"`{env}` is left out: what `{mlp}` gains by seeing everything (`{sighted}`), {number(gap.value, digits)} "
        f"{interval(gap, digits)}, is no gap that these runs can tell from chance."
    )


def _few(study: Study, closed: Iterable[Key]) -> list[str]:
    """Gaps whose runs are too few."""
    few = [env for env, part in closed if _chance(study, env, part) is Chance.UNKNOWN]
    return [f"{Chance.UNKNOWN.capitalize()} whether the gap on {listed(few)} is more than chance."] if few else []


def _frames(study: Study, keys: Sequence[Key]) -> list[str]:
    """The honest baseline, where it was not run."""
    without = [env for env, part in keys if not study.has(f"{part}-{FRAMES}", env)]
    if not without:
        return []
    return [f"No frame-stacked MLP was run on {listed(without)}: what memory gives beyond a few frames is not known."]


def _strata(study: Study, env: str, part: str, agent: str) -> list[NDArray[np.float64]]:
    return [study.values(*who) for who in ((agent, env), *_anchors(study, env, part))]


def _share(study: Study, part: str, agent: str, envs: Sequence[str]) -> Interval:
    """Of the gap that is closed, the mean over envs."""
    return bootstrap([runs for env in envs for runs in _strata(study, env, part, agent)], gap_closed)


def _bars(study: Study, env: str, closed: Mapping[Key, Interval]) -> Bars:
    shares = {
        agent: _share(study, part, agent, [env])
        for part in ("ppo", "sac")
        if (env, part) in closed
        for agent in _agents(study, env, part)
    }
    best = max(shares, key=lambda agent: shares[agent].value)
    bars = [Bar(agent, each, percent_estimate(each)) for agent, each in shares.items()]
    return Bars(
        f"{file_name(env)}-memory",
        env,
        bars,
        finding=f"`{best}` closes the most: {percent_estimate(shares[best])}.",
        label="memory gap closed",
        marks=[(0.0, "memoryless"), (1.0, "sighted")],
        share=True,
    )


def _row(study: Study, env: str, part: str, agent: str) -> list[Cell | str]:
    strata = _strata(study, env, part, agent)
    mine, blind, sighted = (runs.mean() for runs in strata)
    digits = decimals([mine, blind, sighted])
    share = bootstrap(strata, gap_closed)
    scores = (number(blind, digits), number(mine, digits), number(sighted, digits))
    return [Cell(agent, agent=agent), *scores, percent(share.value), percent_interval(share, sign="")]


def _means(study: Study, closed: Mapping[Key, Interval]) -> list[tuple[str, list[Cell | str]]]:
    """Each agent over all tasks that count, if there are several."""
    rows: list[tuple[str, list[Cell | str]]] = []
    for part in ("ppo", "sac"):
        envs = [env for env, each in closed if each == part]
        agents = [agent for agent in study.agents if any(agent in _agents(study, env, part) for env in envs)]
        for agent in agents if len(envs) > 1 else []:
            on = [env for env in envs if study.has(agent, env)]
            share = _share(study, part, agent, on)
            which = "" if len(on) == len(envs) else f"{len(on)} of {len(envs)} tasks"
            cells: list[Cell | str] = [Cell(agent, agent=agent), which, "", "", percent(share.value)]
            rows.append((f"mean of {len(envs)} tasks", [*cells, percent_interval(share, sign="")]))
    return rows
