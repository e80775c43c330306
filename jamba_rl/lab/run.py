"""A run on disk: one folder that holds all of it, readable without torch.

::

    config.yaml         resolved: all that is needed to repeat or resume it
    provenance.json     each start: command, versions, code, machine
    evaluations.csv     step,seed,mean_reward,std_reward,mean_length,episodes
    progress.csv        what SB3's logger records, one row per rollout or evaluation
    tb/                 the same for TensorBoard
    checkpoints/STEP/   model.zip and normalizer.pkl, the newest three; of off-policy agents the newest
                        also has replay.pkl.gz, what it has experienced
    model.zip, normalizer.pkl    the final ones
    result.json         final evaluation, speed, parameters: written when training came to its end
    probes.csv          probe,memory,noise,mean_reward,std_reward,mean_length,episodes: what an experiment may add
"""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jamba_rl import catalogue
from jamba_rl.catalogue import Data, UserError
from jamba_rl.lab.files import Table, read_json, replacing

CHECKPOINTS, RESULT = "checkpoints", "result.json"
MODEL, NORMALIZER, REPLAY = "model.zip", "normalizer.pkl", "replay.pkl.gz"
EVALUATION_COLUMNS = ("step", "seed", "mean_reward", "std_reward", "mean_length", "episodes")
PROGRESS_STEP = "time/total_timesteps"  # the column of progress.csv that holds the step
KEPT_CHECKPOINTS = 3


@dataclass(frozen=True)
class Checkpoint:
    """A folder with a saved model and its normaliser, and the env steps it has learned from."""

    step: int
    folder: Path

    @property
    def model(self) -> Path:
        """The model, as SB3 saves it."""
        return self.folder / MODEL

    @property
    def normalizer(self) -> Path:
        """The statistics that the model's observations are scaled by."""
        return self.folder / NORMALIZER

    @property
    def replay(self) -> Path:
        """The replay buffer, which only the newest checkpoint of an off-policy agent has."""
        return self.folder / REPLAY


@contextmanager
def loading(path: Path) -> Iterator[None]:
    """Load a file of a checkpoint, or of the final model, inside of this.

    :raises UserError: if it is missing or damaged; names the file and what to do
    """
    try:
        yield
    except Exception as error:  # a damaged pickle may raise anything
        reason = error.strerror if isinstance(error, OSError) else None
        reason = reason or textwrap.shorten(str(error), 160) or type(error).__name__
        is_one_of_many = path.parent.parent.name == CHECKPOINTS
        advice = f"remove {path.parent} to go on from an older checkpoint" if is_one_of_many else "train the run anew"
        raise UserError(f"{path} cannot be read: {reason}; {advice}") from error


class Result(Data, extra="ignore"):
    """What must stand in result.json."""

    step: int


class Run:
    """The files of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.evaluations = Table(folder / "evaluations.csv", EVALUATION_COLUMNS)
        self.progress = Table(folder / "progress.csv")
        self.tensorboard = folder / "tb"

    @classmethod
    def create(cls, folder: Path, config: Mapping[str, Any]) -> Run:
        """Make the folder, which must be new or empty, and write its config.

        :raises UserError: if it already holds something, or cannot be made
        """
        check_free(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make {folder}: {error.strerror}") from error
        run = cls(folder)
        run.write_config(config)
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open what `create` made.

        :raises UserError: if there is no run
        """
        if not (folder / "config.yaml").is_file():
            raise UserError(f"no run at {folder}: it has no config.yaml")
        return cls(folder)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Replace config.yaml."""
        with replacing(self.folder / "config.yaml") as path:
            catalogue.dump(config, path)

    def read_config(self) -> dict[str, Any]:
        """Content of config.yaml."""
        return catalogue.load(self.folder / "config.yaml")

    def add_start(self, provenance: Mapping[str, Any]) -> None:
        """Note a start or resume in provenance.json; the earlier ones are kept."""
        starts = [*self.starts(), provenance]
        with replacing(self.folder / "provenance.json") as path:
            path.write_text(json.dumps(starts, indent=2) + "\n")

    def starts(self) -> list[Any]:
        """Content of provenance.json.

        :raises UserError: if it is no list
        """
        path = self.folder / "provenance.json"
        return read_json(path, list) if path.exists() else []

    def checkpoints(self) -> list[Checkpoint]:
        """The checkpoints, oldest first."""
        folders = [path for path in (self.folder / CHECKPOINTS).glob("*") if path.name.isdigit()]
        return sorted((Checkpoint(int(path.name), path) for path in folders), key=lambda found: found.step)

    def add_checkpoint(self, step: int, write: Callable[[Checkpoint], None]) -> Checkpoint:
        """Write the checkpoint of a step, unless it is there; then the oldest make room, and older replays.

        :param write: fills a checkpoint; its folder appears whole or not at all
        """
        checkpoint = Checkpoint(step, self.folder / CHECKPOINTS / str(step))
        if not checkpoint.folder.exists():
            unfinished = Checkpoint(step, checkpoint.folder.with_suffix(".part"))
            unfinished.folder.mkdir(parents=True)
            write(unfinished)
            unfinished.folder.rename(checkpoint.folder)
        saved = self.checkpoints()
        for old in saved[:-KEPT_CHECKPOINTS]:
            shutil.rmtree(old.folder)
        for older in saved[-KEPT_CHECKPOINTS:-1]:
            older.replay.unlink(missing_ok=True)
        return checkpoint

    def finish(self, checkpoint: Checkpoint, result: Mapping[str, Any]) -> None:
        """Make a checkpoint the final model, and then say so in result.json.

        :param result: what came out; has ``step``
        """
        for source in (checkpoint.normalizer, checkpoint.model):
            with replacing(self.folder / source.name) as path:
                shutil.copyfile(source, path)
        with replacing(self.folder / RESULT) as path:
            path.write_text(json.dumps(result, indent=2) + "\n")

    def result(self) -> dict[str, Any] | None:
        """Content of result.json; None as long as no training has come to its end.

        :raises UserError: if it is something else
        """
        path = self.folder / RESULT
        if not path.exists():
            return None
        result = read_json(path, dict)
        catalogue.check(Result, result, path)
        return result

    def newest(self) -> Checkpoint | None:
        """The newest model: the last checkpoint, or the final model if checkpoints were removed; None before either."""
        saved, result = self.checkpoints(), self.result()
        if not saved and result is not None:
            saved = [Checkpoint(result["step"], self.folder)]
        return saved[-1] if saved else None

    def rewind(self, step: int) -> None:
        """Drop the rows past a step, which a run resumed from there writes again, and what a kill left unfinished.

        :raises UserError: if something that the resumed run adds to cannot be read; then nothing is changed
        """
        self.starts()
        self.evaluations.check_numbers("step")
        self.progress.check_numbers(PROGRESS_STEP)
        self.evaluations.keep(lambda row: float(row["step"]) <= step)
        self.progress.keep(lambda row: float(row[PROGRESS_STEP]) <= step)
        for unfinished in (self.folder / CHECKPOINTS).glob("*.part"):
            shutil.rmtree(unfinished)


def check_free(folder: Path) -> None:
    """Make sure that a folder can become a run without overwriting anything.

    :raises UserError: if it is a file, holds a run, or holds anything else
    """
    if (folder / "config.yaml").exists():
        raise UserError(f"{folder} already holds a run; continue it with --resume {folder}, or name another folder")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder} already exists and is no empty folder; name another")


def fresh_folder(task: str, agent: str, seed: int, root: Path = Path("results/runs")) -> Path:
    """Make the first free folder ``root/task/agent/seed-n``.

    :raises UserError: if it cannot be made
    """
    parent = root / file_name(task) / agent
    number = 1
    while True:
        folder = parent / f"{seed}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:  # also when another process was faster
            number += 1
        except OSError as error:
            raise UserError(f"cannot make {folder}: {error.strerror}") from error
        else:
            return folder


def file_name(task: str) -> str:
    """A task's name as that of a file: a gymnasium id may have a namespace and a module.

    >>> file_name("module:space/Env-v0")
    'module-space-Env-v0'
    """
    return task.replace("/", "-").replace(":", "-")
