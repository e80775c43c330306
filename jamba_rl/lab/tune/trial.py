"""One trial: the same values, trained from several seeds."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from jamba_rl.catalogue import UserError
from jamba_rl.lab import train as training
from jamba_rl.lab.config import RunConfig
from jamba_rl.lab.files import replacing
from jamba_rl.lab.listen import Rows
from jamba_rl.lab.run import CHECKPOINTS, Run
from jamba_rl.lab.stats import final_score
from jamba_rl.lab.tune.plan import Plan, read_plan, trial_config
from jamba_rl.lab.tune.study import draw, open_study, reopen

if TYPE_CHECKING:
    from optuna import Trial

ERROR = "error.txt"  # in a trial's folder: the traceback of what nobody foresaw
COMPLETE, PRUNED, FAILED, STOPPED = "complete", "pruned", "failed", "stopped"


@dataclass
class Outcome:
    """How a trial ended.

    :ivar state: ``stopped`` by a signal, it can go on
    :ivar scores: final ones, one per seed that came to its end
    :ivar parameters: that a step meets
    :ivar error: why it failed
    """

    state: str
    scores: list[float] = field(default_factory=list)
    parameters: int | None = None
    error: str = ""


class Judge:
    """Reports the evaluations of one seed to Optuna, and ends the training when the trial is not worth its steps.

    What is reported is the mean over seeds: final scores of those before, the latest evaluation of this one.

    :param scores: of the seeds before
    :param stopping: whether a signal came when nobody else listened
    """

    def __init__(self, trial: Trial, plan: Plan, scores: list[float], stopping: Callable[[], bool]) -> None:
        self.trial, self.scores, self.stopping = trial, scores, stopping
        self.before = plan.evaluations * len(scores)
        self.pruned = False
        self._reported = set(trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values)

    def __call__(self, rows: Rows) -> bool:
        """Hear of all evaluations of this seed; False ends its training."""
        for i, row in enumerate(rows, self.before + 1):
            if i not in self._reported:
                self._reported.add(i)
                self.trial.report(fmean([*self.scores, float(row["mean_reward"])]), i)
        self.pruned = self.trial.should_prune()
        return not (self.pruned or self.stopping())


def run_trial(folder: Path, number: int, stopping: Callable[[], bool] = lambda: False) -> Outcome:
    """Train what a trial tries, or go on with it; the caller tells Optuna how it ended.

    :param stopping: whether to end at the next evaluation, beside the signals that a training takes itself
    """
    plan = read_plan(folder)
    trial = reopen(open_study(folder, plan), plan, number)
    outcome = Outcome(COMPLETE)
    try:
        configs = [trial_config(folder, plan, draw(trial, plan), seed) for seed in range(plan.seeds)]
        for seed, config in enumerate(configs):
            judge = Judge(trial, plan, outcome.scores, stopping)
            outcome.state = _train_seed(trial_folder(folder, number) / str(seed), config, judge, outcome)
            if outcome.state != COMPLETE:
                break
    except UserError as error:  # such as sizes that do not fit, or an env that such an agent drives to infinity
        outcome.state, outcome.error = FAILED, str(error)
    except Exception as error:  # a trial that fails leaves the others alone: values can be such that nothing is finite
        outcome.state, outcome.error = FAILED, f"{type(error).__name__}: {error}".partition("\n")[0]
        trial_folder(folder, number).mkdir(parents=True, exist_ok=True)
        with replacing(trial_folder(folder, number) / ERROR) as path:
            path.write_text(traceback.format_exc(), encoding="utf-8")
    if outcome.state != STOPPED:
        for checkpoints in trial_folder(folder, number).glob(f"*/{CHECKPOINTS}"):
            shutil.rmtree(checkpoints)
    return outcome


def trial_folder(folder: Path, number: int) -> Path:
    """Where the runs of a trial lie."""
    return folder / "runs" / f"{number:03d}"


def _train_seed(folder: Path, config: RunConfig, judge: Judge, outcome: Outcome) -> str:
    """Train one seed, or go on with it, and note its score."""
    run = Run(folder)
    if run.result() is None:
        if (folder / "config.yaml").exists():
            summary = training.resume(folder, live=None, listener=judge)
        else:
            shutil.rmtree(folder, ignore_errors=True)  # what a kill left of a beginning
            summary = training.train(config, folder, live=None, listener=judge)
        if summary.scores is None:
            return PRUNED if judge.pruned else STOPPED
    result = run.result()
    assert result is not None
    outcome.parameters = result["active_parameters"]
    outcome.scores.append(final_score(np.array([float(row["mean_reward"]) for row in run.evaluations.rows()])))
    return COMPLETE
