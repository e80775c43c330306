"""Training: from a resolved config to a run folder, and on from one."""

from __future__ import annotations

import time
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from jamba_rl.catalogue import UserError
from jamba_rl.lab import provenance
from jamba_rl.lab.build import learned_parameters, load_model, make_model
from jamba_rl.lab.build.backbone import take_backbone
from jamba_rl.lab.callbacks import Checkpoints, Evaluations, StopOnSignal
from jamba_rl.lab.config import RunConfig, change, read_config
from jamba_rl.lab.cost import peak_memory_mb, predict_ms
from jamba_rl.lab.evaluate import Scores
from jamba_rl.lab.experience import experience_of
from jamba_rl.lab.listen import Listener, Listening, until
from jamba_rl.lab.lock import alone_on
from jamba_rl.lab.logger import make_logger
from jamba_rl.lab.progress import ProgressBar, ProgressLines, ProgressReport
from jamba_rl.lab.run import Checkpoint, Run, check_free, fresh_folder
from jamba_rl.lab.stats import final_score
from jamba_rl.lab.track import check_tracker, make_tracker
from jamba_rl.lab.watch.clips import Clips
from jamba_rl.tasks import load_task, make_env


@dataclass(frozen=True)
class Summary:
    """How a training ended. ``scores`` is None if it was stopped before its end."""

    run: Run
    steps: int
    steps_per_second: float
    scores: Scores | None


@dataclass(frozen=True)
class Watching:
    """How a training is looked on, which is none of what is trained.

    :ivar live: show a live bar instead of plain lines; None for neither
    :ivar track: who else is told, out of ``jamba_rl.lab.track.TRACKERS``
    :ivar listener: hears of every evaluation, and may end the training
    """

    live: bool | None = False
    track: str | None = None
    listener: Listener | None = None

    def progress(self, steps: int, evaluations: Evaluations) -> ProgressReport | None:
        """What shows how far it is."""
        return None if self.live is None else (ProgressBar if self.live else ProgressLines)(steps, evaluations)


def train(
    config: RunConfig,
    out: Path | None = None,
    live: bool | None = False,
    *,
    track: str | None = None,
    listener: Listener | None = None,
) -> Summary:
    """Train a new run to its end, or until it is stopped by a signal.

    Everything that can be wrong with the config shows before anything is written.

    :param out: the run folder; default a fresh one under ``results/runs``
    :param live: show a live bar instead of plain lines; None for neither
    :param track: who else is told of everything, such as ``wandb``
    :param listener: hears of every evaluation, and may end the training
    :raises UserError: if the task cannot be made, does not suit the agent, or ``out`` is taken
    """
    if out is not None:
        check_free(out)
    check_tracker(track)
    model = make_model(config, make_env(config.task, config.part.n_envs, config.seed, staggered=True))
    clips = Clips(config) if config.video_every else None
    folder = out or fresh_folder(config.task.name, config.agent.name, config.seed)
    if config.start is not None:
        take_backbone(model, config.start.folder(folder.absolute()))
    with alone_on(folder):
        run = Run.create(folder, config.model_dump(mode="json"))
        return _learn(run, config, model, clips, Watching(live, track, listener))


def resume(
    folder: Path,
    *,
    steps: int | None = None,
    env: str | None = None,
    device: str | None = None,
    video_every: int | None = None,
    live: bool | None = False,
    track: str | None = None,
    listener: Listener | None = None,
) -> Summary:
    """Go on with a run from its newest checkpoint, or from its start if it has none yet.

    Step count, schedules, optimizer, normalisation, replay buffer and curves go on where they were;
    the envs start new episodes, and rows past the checkpoint are dropped to be written again.

    :param steps: the new total; default what the run was started with
    :param env: refuse if the run is of another env
    :param video_every: env steps between two clips from now on, 0 for none; default as before
    :param live: as of ``train``; so are ``track`` and ``listener``
    :raises UserError: if there is no run, it is of another env, it is complete, or another process trains it
    """
    run, watching = Run.open(folder), Watching(live, track, listener)
    with alone_on(folder):  # before anything is read that another training might write
        config = read_config(run)
        _check_same_env(run, config, env)
        config = change(config, steps=steps, device=device, video_every=video_every)
        return _resume(run, config, watching, to_its_end=steps is None)


def _resume(run: Run, config: RunConfig, watching: Watching, to_its_end: bool) -> Summary:
    """Go on with a run that nobody else holds.

    :param to_its_end: rather than for a number of steps that somebody named
    """
    saved, result = run.newest(), run.result()
    step = saved.step if saved else 0
    complete = result is not None and (result["step"] >= config.steps or (config.stop is not None and to_its_end))
    if complete or (not to_its_end and step >= config.steps):
        raise UserError(f"{run.folder} is already trained for {step} steps; to go on, give --steps more than that")
    check_tracker(watching.track)
    venv = make_env(config.task, config.part.n_envs, config.seed, staggered=True)
    model = load_model(config, saved, venv) if saved else make_model(config, venv)
    if config.start is not None and saved is None:
        take_backbone(model, config.start.folder(run.folder.absolute()))
    clips = Clips(config) if config.video_every else None
    run.rewind(step)
    run.write_config(config.model_dump(mode="json"))
    return _learn(run, config, model, clips, watching)


def _learn(run: Run, config: RunConfig, model: BaseAlgorithm, clips: Clips | None, watching: Watching) -> Summary:
    run.add_start(provenance.collect())
    trackers = [] if watching.track is None else [make_tracker(watching.track, run, config)]
    logger = make_logger(run, config, model.num_timesteps, *trackers)
    model.set_logger(logger)
    evaluations = Evaluations(run, config)
    checkpoints = Checkpoints(run, config.task.protocol.evaluation.every)
    listening, enough = Listening(watching.listener, evaluations), Listening(until(config.stop), evaluations)
    progress = watching.progress(config.steps, evaluations)
    first_step, start = model.num_timesteps, time.perf_counter()
    with experience_of(config.task.name), StopOnSignal() as stop, closing(progress) if progress else nullcontext():
        looking: list[BaseCallback | None] = [stop, evaluations, checkpoints, clips, listening, enough, progress]
        callbacks = [callback for callback in looking if callback is not None]
        model.learn(config.steps - first_step, callback=callbacks, reset_num_timesteps=False)
        seconds = time.perf_counter() - start - evaluations.seconds - (clips.seconds if clips else 0.0)
        speed = (model.num_timesteps - first_step) / seconds
        stopped = stop.stopped or listening.stopped
        checkpoint = checkpoints.save(checkpoints.learned_steps if stopped or enough.stopped else model.num_timesteps)
        known = evaluations.latest if enough.stopped else None  # the step that ended it has moved the normaliser
        scores = None if stopped else known or evaluations.evaluate(model.num_timesteps)
        if clips is not None and not stopped:
            clips.act(model.num_timesteps)
    if scores is not None:
        _finish(run, model, checkpoint, round(speed, 1), scores)
        logger.finish(_final_score(run), checkpoint.step)
    evaluations.venv.close()
    if clips is not None:
        clips.close()
    logger.close()
    return Summary(run, checkpoint.step, speed, scores)


def _finish(run: Run, model: BaseAlgorithm, checkpoint: Checkpoint, speed: float, scores: Scores) -> None:
    size = learned_parameters(model.policy)
    result: dict[str, Any] = {"step": checkpoint.step, "steps_per_second": speed}
    result |= {"parameters": size.total, "active_parameters": size.active}
    result |= {"predict_ms": round(predict_ms(model), 4), "peak_memory_mb": peak_memory_mb()}
    run.finish(checkpoint, result | scores.as_dict())


def _final_score(run: Run) -> float:
    return final_score(np.array([float(row["mean_reward"]) for row in run.evaluations.rows()]))


def _check_same_env(run: Run, config: RunConfig, env: str | None) -> None:
    if env is None:
        return
    asked, own = load_task(env), config.task
    if asked.env != own.env:
        raise UserError(f"{run.folder} is a run of env {own.name!r}, not of {env!r}; leave --env out to go on with it")
