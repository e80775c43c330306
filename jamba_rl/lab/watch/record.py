"""A film of a trained agent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from jamba_rl.catalogue import UserError
from jamba_rl.lab.build import load_model
from jamba_rl.lab.config import read_config
from jamba_rl.lab.experience import experience_of
from jamba_rl.lab.run import Run
from jamba_rl.lab.seeds import derived_seed
from jamba_rl.lab.view import saved, view
from jamba_rl.lab.watch.film import Film, filming
from jamba_rl.lab.watch.play import Episode, Look, play
from jamba_rl.lab.watch.stage import Size, Stage
from jamba_rl.lab.watch.words import running, title

Show = Callable[[str], None]


@dataclass(frozen=True)
class Watched:
    """What was played, and the files that show it."""

    episodes: tuple[Episode, ...]
    mp4: Path
    gif: Path


def watch_run(
    folder: Path,
    episodes: int = 1,
    seed: int = 0,
    *,
    out: Path | None = None,
    size: Size | None = None,
    every: int = 1,
    max_steps: int | None = None,
    show: Show = lambda line: None,
) -> Watched:
    """Play episodes with the newest model of a run and film them.

    The first one is what ``evaluate_run`` plays as its only episode with this seed.

    :param out: the files without their endings; default ``watch-<seed>`` in the run
    :param size: of the pictures, without the title; default the env's own
    :param every: env steps from one picture to the next; time runs as in the env nevertheless
    :param max_steps: stop each episode there
    :param show: told how far it is, before every step
    :raises UserError: if there is no run, no model in it, a file of it is damaged, or the env cannot be drawn
    """
    run = Run.open(folder)
    config = read_config(run)
    checkpoint = run.newest()
    if checkpoint is None:
        raise UserError(f"{folder} has no checkpoint yet; go on with --resume {folder}")
    mp4, gif = _files(out or run.folder / f"watch-{seed}")
    model = load_model(config, checkpoint)
    played = []
    with closing(Stage(config.task, size)) as stage, experience_of(config.task.name):
        seen = view(config.agent, stage.venv, saved(checkpoint.normalizer, training=False))
        seen.seed(derived_seed("evaluation", seed))
        with filming(mp4, gif, title(config, model.num_timesteps), stage.fps / every) as film:
            for number in range(1, episodes + 1):
                prefix = f"episode {number}  " if episodes > 1 else ""
                played.append(play(model, seen, _look(stage, film, every, prefix, show), max_steps))
    return Watched(tuple(played), mp4, gif)


def _look(stage: Stage, film: Film, every: int, prefix: str, show: Show) -> Look:
    def look(step: int, score: float) -> None:
        line = prefix + running(step, score)
        show(line)
        if step % every == 0:
            film.add(stage.picture(), line)

    return look


def _files(path: Path) -> tuple[Path, Path]:
    stem = path.with_suffix("") if path.suffix in (".mp4", ".gif") else path
    if not stem.parent.is_dir():
        raise UserError(f"no such folder: {stem.parent}")
    return stem.with_name(f"{stem.name}.mp4"), stem.with_name(f"{stem.name}.gif")
