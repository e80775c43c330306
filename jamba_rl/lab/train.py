"""Training: from a resolved config to a run folder, and on from one."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from jamba_rl.catalogue import UserError
from jamba_rl.lab import provenance
from jamba_rl.lab.build import learned_parameters, load_model, make_model
from jamba_rl.lab.callbacks import Checkpoints, Evaluations, StopOnSignal
from jamba_rl.lab.config import RunConfig, change, read_config
from jamba_rl.lab.evaluate import Scores
from jamba_rl.lab.experience import experience_of
from jamba_rl.lab.logger import make_logger
from jamba_rl.lab.progress import ProgressBar, ProgressLines
from jamba_rl.lab.run import Run, check_free, fresh_folder
from jamba_rl.lab.watch.clips import Clips
from jamba_rl.tasks import load_task, make_env


@dataclass(frozen=True)
class Summary:
    """How a training ended. ``scores`` is None if it was stopped before its end."""

    run: Run
    steps: int
    steps_per_second: float
    scores: Scores | None


def train(config: RunConfig, out: Path | None = None, live: bool = False) -> Summary:
    """Train a new run to its end, or until it is stopped by a signal.

    Everything that can be wrong with the config shows before anything is written.

    :param out: the run folder; default a fresh one under ``results/runs``
    :param live: show a live bar instead of plain lines
    :raises UserError: if the task cannot be made, does not suit the agent, or ``out`` is taken
    """
    if out is not None:
        check_free(out)
    model = make_model(config, make_env(config.task, config.part.n_envs, config.seed, staggered=True))
    clips = Clips(config) if config.video_every else None
    folder = out or fresh_folder(config.task.name, config.agent.name, config.seed)
    run = Run.create(folder, config.model_dump(mode="json"))
    return _learn(run, config, model, clips, live)


def resume(
    folder: Path,
    *,
    steps: int | None = None,
    env: str | None = None,
    device: str | None = None,
    video_every: int | None = None,
    live: bool = False,
) -> Summary:
    """Go on with a run from its newest checkpoint, or from its start if it has none yet.

    Step count, schedules, optimizer, normalisation, replay buffer and curves go on where they were;
    the envs start new episodes, and rows past the checkpoint are dropped to be written again.

    :param steps: the new total; default what the run was started with
    :param env: refuse if the run is of another env
    :param video_every: env steps between two clips from now on, 0 for none; default as before
    :raises UserError: if there is no run, it is of another env, or it is complete
    """
    run = Run.open(folder)
    config = read_config(run)
    _check_same_env(run, config, env)
    config = change(config, steps=steps, device=device, video_every=video_every)
    saved, result = run.newest(), run.result()
    step = saved.step if saved else 0
    if (result is not None and result["step"] >= config.steps) or (steps is not None and step >= steps):
        raise UserError(f"{folder} is already trained for {step} steps; to go on, give --steps more than that")
    venv = make_env(config.task, config.part.n_envs, config.seed, staggered=True)
    model = load_model(config, saved, venv) if saved else make_model(config, venv)
    clips = Clips(config) if config.video_every else None
    run.rewind(step)
    run.write_config(config.model_dump(mode="json"))
    return _learn(run, config, model, clips, live)


def _learn(run: Run, config: RunConfig, model: BaseAlgorithm, clips: Clips | None, live: bool) -> Summary:
    run.add_start(provenance.collect())
    model.set_logger(make_logger(run, model.num_timesteps))
    evaluations = Evaluations(run, config)
    checkpoints = Checkpoints(run, config.task.protocol.evaluation.every)
    progress = (ProgressBar if live else ProgressLines)(config.steps, evaluations)
    first_step, start = model.num_timesteps, time.perf_counter()
    with experience_of(config.task.name), StopOnSignal() as stop, closing(progress):
        callbacks: list[BaseCallback] = [stop, evaluations, checkpoints, *([clips] if clips else []), progress]
        model.learn(config.steps - first_step, callback=callbacks, reset_num_timesteps=False)
        seconds = time.perf_counter() - start - evaluations.seconds - (clips.seconds if clips else 0.0)
        speed = (model.num_timesteps - first_step) / seconds
        checkpoint = checkpoints.save(checkpoints.learned_steps if stop.stopped else model.num_timesteps)
        scores = None if stop.stopped else evaluations.evaluate(model.num_timesteps)
        if clips is not None and not stop.stopped:
            clips.act(model.num_timesteps)
    if scores is not None:
        size = learned_parameters(model.policy)
        result = {"step": checkpoint.step, "steps_per_second": round(speed, 1)}
        result |= {"parameters": size.total, "active_parameters": size.active}
        run.finish(checkpoint, result | scores.as_dict())
    evaluations.venv.close()
    if clips is not None:
        clips.close()
    model.logger.close()
    return Summary(run, checkpoint.step, speed, scores)


def use_one_thread() -> None:
    """Have torch compute in one thread: for networks this small, more threads cost more than they give."""
    torch.set_num_threads(1)


def _check_same_env(run: Run, config: RunConfig, env: str | None) -> None:
    if env is None:
        return
    asked, own = load_task(env), config.task
    if asked.env != own.env:
        raise UserError(f"{run.folder} is a run of env {own.name!r}, not of {env!r}; leave --env out to go on with it")
