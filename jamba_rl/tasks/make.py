"""The envs of a task: one, or many as a vectorised env."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import RescaleAction
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from jamba_rl.catalogue import UserError
from jamba_rl.tasks.dynamics import RandomizedDynamics
from jamba_rl.tasks.first_episode import FirstEpisodeCut
from jamba_rl.tasks.pixels import PixelEnv
from jamba_rl.tasks.recall import RecallVecEnv, recall_game
from jamba_rl.tasks.recall.popgym import flattened
from jamba_rl.tasks.resolve import load_task
from jamba_rl.tasks.sensors import Rules, SensorEnv, SensorVecEnv, rules_of
from jamba_rl.tasks.spec import Stepping, Task
from jamba_rl.tasks.stepping import EnvPoolVecEnv, InProcessVecEnv, ProcessVecEnv

SB3_SPACES = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


def make_env(
    task: str | Task,
    n_envs: int = 1,
    seed: int = 0,
    staggered: bool = False,
    stepping: Stepping | None = None,
    render_mode: str | None = None,
) -> VecEnv:
    """Make the vectorised env of a task.

    Envs step one after the other in this process, which is faster than processes for all but slow simulators, unless
    ``stepping`` says otherwise. Each is monitored, so episodes report their return and length. Bounded continuous
    actions are scaled to [-1, 1], so that exploration means the same in every task.

    :param task: a task's name, the path of its YAML, a gymnasium id, or the task itself
    :param n_envs: how many copies
    :param seed: copy ``i`` is seeded with ``seed + i`` at its first reset
    :param staggered: cut the first episode of each copy after a different share of the time limit,
        for training: short rollouts of copies in step would all see the same phase of the task
    :param stepping: ``in-process``, ``subprocess``, or ``envpool`` (MuJoCo only, with random numbers of its own);
        default: the task's protocol
    :param render_mode: of each env, such as ``rgb_array``
    :raises UserError: if there is no such env, or it cannot be made

    >>> make_env("pendulum-p", n_envs=2).reset().shape
    (2, 2)
    """
    if n_envs < 1:
        raise UserError(f"n_envs must be at least 1, was {n_envs}")
    spec = load_task(task) if isinstance(task, str) else task
    shares = [(i + 1) / n_envs if staggered else 1.0 for i in range(n_envs)]
    try:
        venv, rules = _make_many(spec, shares, stepping or spec.protocol.stepping, render_mode)
    except UserError as error:
        raise UserError(f"{_named(spec)}: {error}") from error
    if rules is not None:
        venv = SensorVecEnv(venv, rules)
    venv.seed(seed)
    venv.action_space.seed(seed)
    return venv


def make_single_env(task: str | Task, render_mode: str | None = None) -> gymnasium.Env:
    """Make one gymnasium env of a task, for code that steps its envs itself; it shows what copy i of `make_env` shows.

    :param task: as for `make_env`
    :raises UserError: if there is no such env, or it cannot be made

    >>> make_single_env("pendulum-p").reset(seed=0)[0].shape
    (2,)
    """
    spec = load_task(task) if isinstance(task, str) else task
    try:
        env = _make_one(spec, render_mode)
        rules = rules_of(spec, spec.base, env.observation_space)
    except UserError as error:
        raise UserError(f"{_named(spec)}: {error}") from error
    return env if rules is None else SensorEnv(env, rules)


def _named(task: Task) -> str:
    """A task as errors name it, with its file unless it is a gymnasium id."""
    return f"env {task.name!r}" if task.name == task.base else f"env {task.name!r} ({task.name}.yaml)"


def _make_many(
    task: Task, shares: Sequence[float], stepping: Stepping, render_mode: str | None
) -> tuple[VecEnv, Rules | None]:
    """Envs that are stepped as wished, and what their sensors are to do."""
    if stepping == "envpool":
        venv = _from_pool(task, shares, render_mode)
        return venv, rules_of(task, task.base, venv.observation_space)
    makers: list[Callable[[], gymnasium.Env]] = [partial(_make_copy, task, share, render_mode) for share in shares]
    game = recall_game(task.base, task.kwargs)
    if stepping == "subprocess":
        rules = rules_of(task, task.base, makers[0]().observation_space)  # what cannot be made shows here, in one line
        venv = ProcessVecEnv(makers)
    elif game is not None and task.episode_steps is task.dynamics is task.pixels is None:
        venv = VecMonitor(RecallVecEnv(game, len(shares), _first_limits(shares, game.steps)))
        rules = rules_of(task, task.base, venv.observation_space)
    else:
        venv = InProcessVecEnv(makers)
        rules = rules_of(task, task.base, venv.observation_space)
    return venv, rules


def _make_copy(task: Task, first_share: float, render_mode: str | None) -> gymnasium.Env:
    """One of many envs: monitored, its first episode cut; without its sensors."""
    env = Monitor(_make_one(task, render_mode))
    first = _first_limits([first_share], env.spec.max_episode_steps if env.spec is not None else None)
    # outside of the monitor, so that an episode cut short does not count as one
    return env if first is None else FirstEpisodeCut(env, *first)


def _make_one(task: Task, render_mode: str | None) -> gymnasium.Env:
    """One env without its sensors."""
    options: dict[str, Any] = {"max_episode_steps": task.episode_steps} if task.episode_steps else {}
    if render_mode is not None:
        options["render_mode"] = render_mode
    try:
        env = gymnasium.make(task.base, **options, **task.kwargs)
    except (gymnasium.error.Error, ImportError, TypeError, ValueError) as error:
        raise UserError(" ".join(str(error).split())) from error
    env = flattened(env)
    if not _fits_sb3(env.observation_space):
        raise UserError(f"it has observations {env.observation_space}, which SB3 cannot take")
    if task.dynamics is not None:
        env = RandomizedDynamics(env, task.dynamics)
    if task.pixels is not None:
        env = PixelEnv(env, task.pixels)
    if _needs_scaling(env.action_space):
        env = RescaleAction(env, np.float32(-1.0), np.float32(1.0))
    return env


def _from_pool(task: Task, shares: Sequence[float], render_mode: str | None) -> VecEnv:
    if task.dynamics is not None:
        raise UserError("dynamics: EnvPool's bodies cannot be changed; leave out stepping: envpool")
    if task.pixels is not None:
        raise UserError("pixels: EnvPool's envs cannot be drawn; leave out stepping: envpool")
    if render_mode is not None:
        raise UserError("stepping: EnvPool's envs cannot be looked at; use in-process")
    limit = task.episode_steps or gymnasium.spec(task.base).max_episode_steps
    first = _first_limits(shares, limit)
    return EnvPoolVecEnv(task.base, len(shares), task.kwargs, limit=limit, first_limits=first)


def _first_limits(shares: Sequence[float], limit: int | None) -> list[int] | None:
    """Steps of each copy's first episode, if any is to be cut."""
    return [max(1, round(share * limit)) for share in shares] if limit and min(shares) < 1.0 else None


def _needs_scaling(space: spaces.Space) -> bool:
    """Whether actions are continuous, bounded, and not in [-1, 1] already."""
    if not (isinstance(space, spaces.Box) and space.is_bounded()):
        return False
    return not ((space.low == -1.0).all() and (space.high == 1.0).all())


def _fits_sb3(space: spaces.Space) -> bool:
    """Arrays, numbers, or one level of a dict of them."""
    parts = space.spaces.values() if isinstance(space, spaces.Dict) else [space]
    return all(isinstance(part, SB3_SPACES) for part in parts)
