"""What Optuna knows of a tuning."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jamba_rl.catalogue import UserError
from jamba_rl.lab.seeds import derived_seed
from jamba_rl.lab.tune.plan import Plan

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

FILE = "study.db"
LOCK_SECONDS = 60  # to wait for another process that writes
FULL_TRIALS = 5  # that come to their end whatever they look like: a median needs some


def import_optuna() -> Any:
    """Import Optuna, told to be quiet.

    :raises UserError: it is not installed
    """
    try:
        optuna = import_module("optuna")
    except ImportError as error:
        raise UserError("jamba-rl tune needs Optuna: pip install 'jamba-rl[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_study(folder: Path, plan: Plan) -> Study:
    """Open what is known, or begin.

    It is a database and not a journal: a kill in the middle of a line would make that unreadable for good.

    :raises UserError: if the file is damaged, or cannot be written
    """
    optuna, sqlalchemy = import_optuna(), import_module("sqlalchemy")
    path = (folder / FILE).absolute()
    try:
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": LOCK_SECONDS}}
        )
        study: Study = optuna.create_study(
            study_name="tune", storage=storage, pruner=_pruner(plan), direction="maximize", load_if_exists=True
        )
    except sqlalchemy.exc.DatabaseError as error:
        raise UserError(f"{folder / FILE}: {error.orig}") from error
    return study


def ask(study: Study, plan: Plan) -> int:
    """Ask for the next values.

    Each trial has random numbers of its own: a tuning that goes on draws what it would have drawn, and agents with the
    same ranges begin with the same values.

    :return: the trial's number
    """
    number = len(study.get_trials(deepcopy=False))
    study.sampler = _sampler(plan, number)
    trial = study.ask()
    draw(trial, plan)
    return trial.number


def reopen(study: Study, plan: Plan, number: int) -> Trial:
    """Get a trial that was asked for; what a kill kept from being drawn can be drawn now."""
    study.sampler = _sampler(plan, number)
    trial: Trial = import_optuna().trial.Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)
    return trial


def draw(trial: Trial, plan: Plan) -> dict[str, Any]:
    """The values of a trial, by dotted keys."""
    return {key: dimension.draw(trial, key) for key, dimension in plan.space.items()}


def _sampler(plan: Plan, number: int) -> BaseSampler:
    sampler: BaseSampler = import_optuna().samplers.TPESampler(seed=derived_seed("tune", plan.sampler_seed, number))
    return sampler


def _pruner(plan: Plan) -> BasePruner:
    """Who ends trials early: by their place among the others after as many evaluations, counted over all seeds."""
    pruners = import_optuna().pruners
    made: dict[str, Callable[[], BasePruner]] = {
        "median": lambda: pruners.MedianPruner(n_startup_trials=FULL_TRIALS, n_warmup_steps=plan.evaluations // 5),
        "hyperband": lambda: pruners.HyperbandPruner(max_resource=plan.evaluations * plan.seeds),
        "none": pruners.NopPruner,
    }
    return made[plan.pruner]()
