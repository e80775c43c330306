"""What the scores of a task are measured by."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.report.runs import Run
from jamba_rl.lab.report.schema import Reference, Task
from jamba_rl.lab.stats import Anchors


def anchors_of(env: str, runs: Iterable[Run]) -> Anchors:
    """Returns of random actions and of a good agent.

    They stand in the runs' configs, or, of runs that are older than that, in ``envs/``; there, in the task's own YAML
    or its sighted twin's. A task without a published score is measured by the MLP on its sighted twin, if that is in
    the same report; by PPO's or SAC's, whichever is the better of those whose algorithm was run on the task.
    """
    runs = list(runs)
    own = [run for run in runs if run.task.name == env]
    sighted = next((run.task.sighted for run in own if run.task.sighted), None)
    found = next((run.task.reference for run in own if run.task.reference), None) or _catalogued(env, sighted)
    if found is None:
        return Anchors()
    if found.score is None and sighted is not None:
        mlps = sorted({f"{run.part}-mlp" for run in own})
        finals = {mlp: [run.final for run in runs if (run.agent.name, run.task.name) == (mlp, sighted)] for mlp in mlps}
        scores = {mlp: fmean(each) for mlp, each in finals.items() if each}
        if scores:
            best = max(scores, key=lambda mlp: scores[mlp])
            return Anchors(found.random, scores[best], f"{best} on {sighted}, measured here")
    return Anchors(found.random, found.score, found.source or "")


def _catalogued(env: str | None, sighted: str | None) -> Reference | None:
    """Reference scores out of ``envs/``, where they may have been added after a run: of a task, or of its twin."""
    task = _task(env)
    twin = _task(sighted or (task.sighted if task else None))
    return next((each.reference for each in (task, twin) if each is not None and each.reference), None)


def _task(name: str | None) -> Task | None:
    if name not in catalogue.names("envs"):
        return None
    try:
        return catalogue.check(Task, {"name": name, **catalogue.load(catalogue.find("envs", str(name)))}, name)
    except UserError:
        return None  # what is wrong with a task is said where it is made
