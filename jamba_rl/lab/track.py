"""Telling others how a training goes: Weights & Biases."""

from __future__ import annotations

import uuid
from importlib import import_module
from typing import Any

from stable_baselines3.common.logger import KVWriter, filter_excluded_keys

from jamba_rl.catalogue import UserError, unknown
from jamba_rl.lab.config import RunConfig
from jamba_rl.lab.hparams import SCORE, flat
from jamba_rl.lab.run import Run

TRACKERS = ("wandb",)
PROJECT = "jamba-rl"  # WANDB_PROJECT says otherwise
QUIET_MODES = ("offline", "dryrun", "disabled")  # in which nobody has to be known to the server


class WandbOutput(KVWriter):
    """Sends what SB3's logger records to a run of Weights & Biases, which a resumed run goes on with.

    Runs of one agent on one env are a group. What is over a step is sent with it and not as its counter, which could
    not go back to where a run is resumed from.
    """

    def __init__(self, run: Run, config: RunConfig) -> None:
        task, agent = config.task.name, config.agent.name
        wandb = _import_wandb()
        try:
            self.run = wandb.init(
                project=wandb.setup().settings.project or PROJECT,
                id=_identity(run),
                resume="allow",
                name=f"{task}/{agent}/{config.seed}",
                group=f"{task}/{agent}",
                job_type="train",
                config=flat(config.model_dump(mode="json")),
                dir=str(run.folder.absolute()),  # its own process may stand elsewhere
                settings=wandb.Settings(console="off"),  # it would take the progress bar for output
            )
        except wandb.Error as error:
            raise UserError(
                f"Weights & Biases: {error}; WANDB_MODE=offline keeps everything in {run.folder}"
            ) from error
        self.run.define_metric("*", step_metric="step")

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Send what is a number."""
        kept = filter_excluded_keys(key_values, key_excluded, "wandb")
        numbers = {key: float(value) for key, value in kept.items() if _is_number(value)}
        self.run.log({"step": step} | numbers)

    def finish(self, score: float, step: int) -> None:
        """Say how good it became."""
        self.run.log({"step": step, SCORE: score})

    def close(self) -> None:
        """Send the rest."""
        self.run.finish()


def check_tracker(name: str | None) -> None:
    """Make sure that there is such a tracker and that it can be used, before anything is written.

    :raises UserError: if not; says what to do
    """
    if name is None:
        return
    if name not in TRACKERS:
        raise unknown("tracker", name, TRACKERS)
    wandb = _import_wandb()
    try:
        if wandb.setup().settings.mode not in QUIET_MODES:
            wandb.login()
    except (wandb.Error, ValueError) as error:
        line = " ".join(str(error).split())
        raise UserError(f"Weights & Biases: {line} WANDB_MODE=offline needs no account.") from error


def make_tracker(name: str, run: Run, config: RunConfig) -> KVWriter:
    """Make what tells a tracker of a run.

    :raises UserError: if it cannot be reached
    """
    assert name in TRACKERS
    return WandbOutput(run, config)


def _import_wandb() -> Any:
    try:
        return import_module("wandb")
    except ImportError as error:
        raise UserError("--track wandb needs Weights & Biases: pip install 'jamba-rl[wandb]'") from error


def _identity(run: Run) -> str:
    """What the server knows a run by: as long as the folder lives, the same."""
    path = run.folder / "wandb" / "identity"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(uuid.uuid4().hex[:8] + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (hasattr(value, "item") and getattr(value, "size", 0) == 1)
