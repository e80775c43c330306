"""Where the numbers come from: code, packages and machines of all runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jamba_rl.lab.report.numbers import plural
from jamba_rl.lab.report.page import Section
from jamba_rl.lab.report.runs import Run
from jamba_rl.lab.report.study import Study
from jamba_rl.version import __version__

PACKAGES = ("numpy", "pandas", "jinja2", "vl-convert-python")


def provenance(study: Study) -> dict[str, Any]:
    """Versions of this report's makers, and what the runs say of theirs, with how many runs say it."""
    starts = [start for run in study.runs for start in run.starts]
    return {
        "report": {"jamba-rl": __version__} | {name: version(name) for name in PACKAGES},
        "runs": len(study.runs),
        "without provenance": sorted(
            run.folder.relative_to(study.folder).as_posix() for run in study.runs if not run.starts
        ),
        "commits": _counted(_commit(start) for start in starts),
        "versions": _versions(starts),
        "machines": _counted(_machine(start) for start in starts),
        "commands": [command(start, study.folder) for start in starts],
    }


def sources(study: Study) -> Section:
    """Code and packages, in words."""
    found = provenance(study)
    commits = [f"{plural(count, 'start')} of {commit}" for commit, count in found["commits"].items()]
    packages = [f"{name} {', '.join(versions)}" for name, versions in found["versions"].items()]
    points = [f"Code: {'; '.join(commits)}.", f"Packages: {'; '.join(packages)}."] if commits else []
    if found["without provenance"]:
        points.append(f"{plural(len(found['without provenance']), 'run')} with no readable provenance.json.")
    return Section(
        "sources",
        "Sources",
        words=[
            "Everything here is made from files under `runs` by `jamba-rl report`. `scores.csv` has one row per run, "
            "`curves.csv` every evaluation, `provenance.json` where runs come from, and the resolved config of every "
            "agent on every task."
        ],
        points=points,
        notes=[
            "Intervals, interquartile mean, profiles and probability of improvement follow Agarwal et al. 2021, Deep "
            "reinforcement learning at the edge of the statistical precipice: percentile bootstrap, runs resampled "
            "within tasks, from a fixed seed. With few runs such intervals are too narrow: of normal scores they hold "
            "the mean in 84% of cases with 5 seeds and in 90% with 10. So a difference is called more than "
            "chance by a permutation test: if fewer than 5% of all ways to deal out the runs of each task to the two "
            "agents differ as much. With fewer than 5 seeds a side nothing is told.",
        ],
    )


def machines(runs: Sequence[Run]) -> list[str]:
    """The machines of runs, in words."""
    counted = _counted(_machine(start) for run in runs for start in run.starts)
    return [f"{machine} ({plural(count, 'start')})." for machine, count in counted.items()]


def _commit(start: dict[str, Any]) -> str:
    git = start.get("git")
    if not isinstance(git, dict):
        return "no checkout"
    return str(git.get("commit", ""))[:10] + (" with changes" if git.get("dirty") else "")


def command(start: dict[str, Any], results: Path) -> str:
    """The command without where on somebody's disk things lay: of other paths than these results' the name alone."""
    there = "/".join(results.absolute().parts[-2:])

    def shortened(path: re.Match[str]) -> str:
        before, here, rest = path.group().partition(f"/{there}")
        return f"{there}{rest}" if here else Path(before).name

    started = re.sub(r"^__main__\.py\b", "python -m jamba_rl", str(start.get("command", "")))
    return re.sub(r"(?<![^\s=])/\S+", shortened, started)


def _machine(start: dict[str, Any]) -> str:
    threads = plural(start["threads"], "thread") if isinstance(start.get("threads"), int) else "unknown threads"
    return f"{start.get('cpu', 'unknown processor')} with {start.get('cpu_count', '?')} cores, {threads} a run"


def _versions(starts: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for start in starts:
        versions = start.get("versions")
        for name, each in (versions if isinstance(versions, dict) else {}).items():
            found.setdefault(name, set()).add(str(each))
    return {name: sorted(versions) for name, versions in found.items()}


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))
