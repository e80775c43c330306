"""A tuning from its first trial to its last, or on from where it was."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from jamba_rl.lab.lock import alone_in
from jamba_rl.lab.tune import trial as trials
from jamba_rl.lab.tune.plan import Plan
from jamba_rl.lab.tune.pool import Pool
from jamba_rl.lab.tune.results import Tried, read_trials, write_best, write_trials
from jamba_rl.lab.tune.study import ask, draw, import_optuna, open_study, reopen
from jamba_rl.lab.tune.trial import Outcome

if TYPE_CHECKING:
    from optuna import Study

Show = Callable[[Tried], None]


def search(folder: Path, plan: Plan, workers: int = 1, show: Show = lambda tried: None) -> bool:
    """Train trials until there are as many as planned, and write what came out after each.

    Trials that a kill interrupted go on first, from their newest checkpoints.

    :param show: called with every trial that ends
    :return: whether all were trained; else Ctrl-C came
    :raises UserError: another process is tuning there, or a worker was killed
    """
    with alone_in(folder, "tuning"):
        study = open_study(folder, plan)
        waiting = _interrupted(study, plan)
        with closing(Pool(folder, workers)) as pool:
            try:
                while pool.busy or waiting or len(study.get_trials(deepcopy=False)) < plan.trials:
                    while pool.free and (waiting or len(study.get_trials(deepcopy=False)) < plan.trials):
                        pool.start(waiting.pop(0) if waiting else ask(study, plan))
                    for number, outcome in pool.ended():
                        if outcome.state == trials.STOPPED:
                            return False
                        _tell(study, plan, number, outcome)
                        _write(folder, study, plan)
                        show(read_trials(study, plan)[number])
            except KeyboardInterrupt:
                pool.stop()
                return False
        _write(folder, study, plan)
        return True


def _interrupted(study: Study, plan: Plan) -> list[int]:
    """Trials that were begun; what of their values is not drawn yet is drawn now."""
    state = import_optuna().trial.TrialState
    numbers = [trial.number for trial in study.get_trials(deepcopy=False, states=(state.RUNNING, state.WAITING))]
    for number in numbers:
        draw(reopen(study, plan, number), plan)
    return numbers


def _tell(study: Study, plan: Plan, number: int, outcome: Outcome) -> None:
    state = import_optuna().trial.TrialState
    ended = {trials.COMPLETE: state.COMPLETE, trials.PRUNED: state.PRUNED, trials.FAILED: state.FAIL}[outcome.state]
    trial = reopen(study, plan, number)
    for key in ("scores", "parameters", "error"):
        trial.set_user_attr(key, getattr(outcome, key))
    study.tell(trial, fmean(outcome.scores) if outcome.state == trials.COMPLETE else None, ended)


def _write(folder: Path, study: Study, plan: Plan) -> None:
    tried = read_trials(study, plan)
    write_trials(folder, plan, tried)
    write_best(folder, plan, tried)
