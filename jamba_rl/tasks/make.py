"""The vectorised env of a task."""

from __future__ import annotations

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import RescaleAction
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from jamba_rl.catalogue import UserError
from jamba_rl.tasks.resolve import load_task
from jamba_rl.tasks.spec import Task
from jamba_rl.tasks.vec_env import InProcessVecEnv
from jamba_rl.tasks.wrappers import FirstEpisodeCut, Select, kept_numbers

SB3_SPACES = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


def make_env(task: str | Task, n_envs: int = 1, seed: int = 0, staggered: bool = False) -> VecEnv:
    """Make the vectorised env of a task.

    The envs step one after the other in this process, which is faster than processes for all but
    slow simulators. Each is monitored, so episodes report their return and length. Bounded
    continuous actions are scaled to [-1, 1], so that exploration means the same in every task.

    :param task: a task's name, the path of its YAML, a gymnasium id, or the task itself
    :param n_envs: how many copies
    :param seed: copy ``i`` is seeded with ``seed + i`` at its first reset
    :param staggered: cut the first episode of each copy after a different share of the time limit,
        for training: short rollouts of copies in step would all see the same phase of the task
    :raises UserError: if there is no such env, or it cannot be made

    >>> make_env("pendulum-p", n_envs=2).reset().shape
    (2, 2)
    """
    if n_envs < 1:
        raise UserError(f"n_envs must be at least 1, was {n_envs}")
    spec = load_task(task) if isinstance(task, str) else task
    shares = [(i + 1) / n_envs if staggered else 1.0 for i in range(n_envs)]
    venv = InProcessVecEnv([lambda share=share: _make_one(spec, share) for share in shares])  # type: ignore[misc]
    venv.seed(seed)
    for i, env in enumerate(venv.envs):
        env.action_space.seed(seed + i)
    return venv


def _make_one(task: Task, first_share: float) -> gymnasium.Env:
    try:
        env = gymnasium.make(task.base, **task.kwargs)
    except (gymnasium.error.Error, ImportError, TypeError) as error:
        raise UserError(f"env {task.name!r}: {' '.join(str(error).split())}") from error
    if not _fits_sb3(env.observation_space):
        raise UserError(f"env {task.name!r} has observations {env.observation_space}, which SB3 cannot take")
    if task.hide:
        try:
            env = Select(env, kept_numbers(task.hide, task.base, env.observation_space))
        except UserError as error:
            raise UserError(f"env {task.name!r}: {error}") from error
    if _needs_scaling(env.action_space):
        env = RescaleAction(env, np.float32(-1.0), np.float32(1.0))
    env = Monitor(env)
    limit = env.spec.max_episode_steps if env.spec is not None else None
    # outside of the monitor, so that an episode cut short does not count as one
    return FirstEpisodeCut(env, max(1, round(first_share * limit))) if limit and first_share < 1.0 else env


def _needs_scaling(space: spaces.Space) -> bool:
    """Whether actions are continuous, bounded, and not in [-1, 1] already."""
    if not (isinstance(space, spaces.Box) and space.is_bounded()):
        return False
    return not ((space.low == -1.0).all() and (space.high == 1.0).all())


def _fits_sb3(space: spaces.Space) -> bool:
    """Arrays, numbers, or one level of a dict of them."""
    parts = space.spaces.values() if isinstance(space, spaces.Dict) else [space]
    return all(isinstance(part, SB3_SPACES) for part in parts)
