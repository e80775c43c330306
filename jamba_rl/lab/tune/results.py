"""What came out of a tuning: a table of its trials, and the best agent."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jamba_rl import catalogue
from jamba_rl.lab.agent import load_agent
from jamba_rl.lab.files import replacing
from jamba_rl.lab.tune.plan import AGENT, ENV, Plan
from jamba_rl.lab.tune.space import nested

if TYPE_CHECKING:
    from optuna import Study

TABLE, BEST, BEST_ENV = "trials.csv", "best.yaml", "best-env.yaml"


@dataclass(frozen=True)
class Tried:
    """A trial.

    :ivar state: ``complete``, ``pruned``, ``fail`` or ``running``
    :ivar score: mean over seeds of final scores; of a pruned one what it had when it was ended
    :ivar scores: of the seeds that came to their end
    :ivar parameters: that a step meets
    :ivar values: by dotted keys
    """

    number: int
    state: str
    score: float | None
    scores: tuple[float, ...]
    parameters: int | None
    error: str
    values: dict[str, Any]


def read_trials(study: Study, plan: Plan) -> list[Tried]:
    """All trials, in their order."""
    return [
        Tried(
            trial.number,
            trial.state.name.lower(),
            trial.value,
            tuple(trial.user_attrs.get("scores", ())),
            trial.user_attrs.get("parameters"),
            trial.user_attrs.get("error", ""),
            {key: plan.space[key].value(tried) for key, tried in trial.params.items()},
        )
        for trial in study.get_trials(deepcopy=False)
    ]


def best_of(trials: Sequence[Tried]) -> Tried | None:
    """The best of those that came to their end with all seeds."""
    complete = [trial for trial in trials if trial.state == "complete" and trial.score is not None]
    return max(complete, key=lambda trial: trial.score or 0.0, default=None)


def write_trials(folder: Path, plan: Plan, trials: Sequence[Tried]) -> None:
    """Write trials.csv."""
    seeds = [f"seed_{seed}" for seed in range(plan.seeds)]
    columns = ["trial", "state", "score", *seeds, "parameters", "error", *plan.space]
    with replacing(folder / TABLE) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for trial in trials:
            own = {"trial": trial.number, "state": trial.state, "score": trial.score, "parameters": trial.parameters}
            scores = dict(zip(seeds, trial.scores, strict=False))
            values = {key: json.dumps(x) if isinstance(x, list) else x for key, x in trial.values.items()}
            writer.writerow(own | scores | {"error": trial.error} | values)


def write_best(folder: Path, plan: Plan, trials: Sequence[Tried]) -> None:
    """Write the best agent so far, and the task if trials have one of their own; nothing if no trial has ended yet."""
    best = best_of(trials)
    if best is None:
        return
    base = catalogue.load(folder / AGENT)
    kind = type(load_agent(str(folder / AGENT)))
    agent: dict[str, Any] = base | {
        "name": f"{base['name']}-tuned",
        "description": f"{base['name']}, tuned on {plan.env}: the best of {len(trials)} trials of {plan.steps:,} steps",
    }
    env = catalogue.load(folder / ENV)
    for key, value in best.values.items():
        if key.partition(".")[0] in set(kind.keys()):
            agent = catalogue.merge(agent, nested(key, value))
        else:
            env = catalogue.merge(env, {"protocol": {kind.part: {key: value}}})
    _dump(agent, folder / BEST)
    if plan.own_env:
        _dump(env, folder / BEST_ENV)


def _dump(data: dict[str, Any], path: Path) -> None:
    with replacing(path) as new:
        catalogue.dump(data, new)
