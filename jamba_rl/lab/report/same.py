"""Runs of one name are seeds of the same, or they do not count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jamba_rl.lab.report.runs import LeftOut, Run
from jamba_rl.lab.report.unused import unused
from jamba_rl.lab.younger import grown_up

# between runs of one agent
MAY_DIFFER = {
    "seed",
    "device",
    "video_every",
    "stop",
    "task.description",
    "task.sighted",
    "task.reference",
    "agent.description",
}


class _Absent:
    """Stands for the value of a key that a config does not have."""

    def __repr__(self) -> str:
        return "not there"


ABSENT = _Absent()


def keep_same(runs: Iterable[Run]) -> tuple[list[Run], list[LeftOut]]:
    """Sort out runs that claim to be what they are not.

    Of runs of an agent on an env whose configs differ, those of the most common one count, in a tie none. Of runs that
    claim the same seed none does: to choose between them would be to choose a score.
    """
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.task.name, run.agent.name].append(run)
    kept: list[Run] = []
    left_out: list[LeftOut] = []
    for group in groups.values():
        alike, others = _most_alike(group)
        single, claimed_twice = _one_per_seed(alike)
        kept += single
        left_out += [*others, *claimed_twice]
    return kept, left_out


def _most_alike(group: list[Run]) -> tuple[list[Run], list[LeftOut]]:
    classes: list[list[Run]] = []
    for run in group:
        fitting = (alike for alike in classes if next(run_differences(alike[0], run), None) is None)
        found = next(fitting, None)
        if found is None:
            classes.append([run])
        else:
            found.append(run)
    most, *others = sorted(classes, key=len, reverse=True)
    if others and len(others[0]) == len(most):
        tied = _other(most[0], others[0][0], "neither is reported")
        return [], [LeftOut(run.folder, tied) for run in group]
    return most, [
        LeftOut(run.folder, _other(most[0], run, "the latter is left out")) for alike in others for run in alike
    ]


def _other(first: Run, run: Run, so: str) -> str:
    difference = next(run_differences(first, run))
    return (
        f"{first.folder} and {run.folder} are both {_name(run)}, but {difference}; {so}: move one to another results "
        "folder, or train it under another name, from a YAML of its own"
    )


def _one_per_seed(group: list[Run]) -> tuple[list[Run], list[LeftOut]]:
    by_seed: dict[int, list[Run]] = defaultdict(list)
    for run in group:
        by_seed[run.seed].append(run)
    twice = [LeftOut(run.folder, _same_seed(same)) for same in by_seed.values() if len(same) > 1 for run in same]
    return [same[0] for same in by_seed.values() if len(same) == 1], twice


def _same_seed(runs: list[Run]) -> str:
    *most, last = (str(run.folder) for run in runs)
    both, neither = ("both", "neither") if len(runs) == 2 else ("all", "none")
    return (
        f"{', '.join(most)} and {last} are {both} {_name(runs[0])} with seed {runs[0].seed}; {neither} "
        "is reported: move one to another results folder, or train it with another --seed"
    )


def _name(run: Run) -> str:
    return f"agent {run.agent.name!r} on env {run.task.name!r}"


def run_differences(one: Run, other: Run) -> Iterator[str]:
    """What differs, in words, between two runs of one name."""
    for where, a, b in differences(one.config, other.config, MAY_DIFFER | unused(one.config)):
        yield f"{where} is {a!r} in one and {b!r} in the other"


def differences(
    one: Mapping[str, Any], other: Mapping[str, Any], may_differ: set[str], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Where two configs differ, and their values there; `ABSENT` where only one has the key.

    A key that is younger than one of them had its default there.
    """
    if not prefix:
        one, other = grown_up(one), grown_up(other)
    for key in dict.fromkeys([*one, *other]):
        where, a, b = f"{prefix}{key}", one.get(key, ABSENT), other.get(key, ABSENT)
        if where in may_differ or a == b:
            continue
        # the env's arguments are no keys of ours: one that is not there differs from one that is
        if isinstance(a, Mapping) and isinstance(b, Mapping) and where != "task.kwargs":
            yield from differences(a, b, may_differ, f"{where}.")
        else:
            yield where, a, b
