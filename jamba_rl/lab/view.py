"""What an agent sees of its envs: normalised, and with as much of the past as its data say.

There is one order of wrappers, made by `view` alone, so that training, a resumed training and
evaluation cannot differ in anything but where the statistics come from. Histories are put together
of what the envs show, and then scaled (``VecHistoryNormalize``), since a replay buffer keeps what
was seen and scales it when it samples.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from jamba_rl.catalogue import UserError
from jamba_rl.lab.agent import AnyAgent, Normalize, WindowAgent
from jamba_rl.lab.run import loading
from jamba_rl.rl import VecHistory, VecHistoryNormalize
from jamba_rl.rl.window.history import is_history

Statistics = Callable[[VecEnv], VecNormalize]
"""Wraps envs in running normalisation: with `fresh`, `saved` or `frozen` statistics."""


def view(agent: AnyAgent, venv: VecEnv, statistics: Statistics) -> VecEnv:
    """Wrap envs as an agent sees them.

    :param venv: a task's envs, as ``make_env`` makes them
    :raises UserError: if what they show does not fit the agent
    """
    if isinstance(agent, WindowAgent):
        try:
            venv = VecHistory(venv, agent.history)
        except ValueError as error:
            raise UserError(f"agent {agent.name!r}: history: {error}") from error
    return statistics(venv)


def fresh(normalize: Normalize, gamma: float) -> Statistics:
    """Statistics that begin from nothing; observations that are no real numbers stay as they are.

    :param gamma: the discount, for the scale of rewards
    """

    def wrap(venv: VecEnv) -> VecNormalize:
        space, rewards = venv.observation_space, normalize.rewards
        if is_history(space):
            observations = normalize.observations and _is_real(space["history"])  # type: ignore[index]
            return VecHistoryNormalize(venv, norm_obs=observations, norm_reward=rewards, gamma=gamma)
        keys = None
        if isinstance(space, spaces.Dict):
            keys = [key for key, part in space.spaces.items() if _is_real(part)]
        observations = normalize.observations and (bool(keys) if keys is not None else _is_real(space))
        return VecNormalize(
            venv, norm_obs=observations, norm_reward=rewards, gamma=gamma, norm_obs_keys=keys if observations else None
        )

    return wrap


def saved(path: Path, training: bool = True) -> Statistics:
    """Statistics of a file.

    :param training: they go on from there; else they stay as they are, and so do rewards
    :raises UserError: when envs are wrapped, if the file is missing or damaged
    """

    def wrap(venv: VecEnv) -> VecNormalize:
        with loading(path):
            normalized = VecNormalize.load(str(path), venv)
        return normalized if training else _at_rest(normalized)

    return wrap


def frozen(normalizer: VecNormalize) -> Statistics:
    """Statistics of a training, which follow it and which looking does not change; rewards stay as they are.

    :param normalizer: the training's, which is left as it is
    """

    def wrap(venv: VecEnv) -> VecNormalize:
        normalized = copy.copy(normalizer)  # leaves the training's envs behind
        normalized.set_venv(venv)
        return _at_rest(normalized)

    return wrap


def _at_rest(normalized: VecNormalize) -> VecNormalize:
    normalized.training = normalized.norm_reward = False
    return normalized


def _is_real(space: spaces.Space) -> bool:
    return isinstance(space, spaces.Box) and space.dtype is not None and space.dtype.kind == "f"
