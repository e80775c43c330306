"""The models of a run by their algorithm: made, and loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gymnasium import spaces
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from jamba_rl.catalogue import UserError
from jamba_rl.lab.agent import PPOAgent
from jamba_rl.lab.build.ppo import make_ppo, policy_kwargs
from jamba_rl.lab.build.replay import read_replay
from jamba_rl.lab.build.sac import make_sac
from jamba_rl.lab.build.stock import make_stock_ppo, make_stock_sac
from jamba_rl.lab.config import RunConfig
from jamba_rl.lab.run import Checkpoint, loading
from jamba_rl.lab.seeds import derived_seed
from jamba_rl.lab.view import fresh, saved, view
from jamba_rl.rl import RecurrentPPO, RecurrentSAC


@dataclass(frozen=True)
class Algorithm:
    """How the models of an algorithm come about.

    :ivar name: for messages
    :ivar model: the class, which loads what it saved
    :ivar make: an untrained model, of a config and of envs as the agent sees them
    :ivar acts_in: whether actions can be of a space
    """

    name: str
    model: type[BaseAlgorithm]
    make: Callable[[RunConfig, VecEnv], BaseAlgorithm]
    acts_in: Callable[[spaces.Space], bool]


def _any_but_unbounded(space: spaces.Space) -> bool:
    choices = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
    return isinstance(space, choices) or _bounded(space)


def _bounded(space: spaces.Space) -> bool:
    return isinstance(space, spaces.Box) and space.is_bounded()


ALGORITHMS = {
    "ppo": Algorithm("PPO", RecurrentPPO, make_ppo, _any_but_unbounded),
    "sac": Algorithm("SAC", RecurrentSAC, make_sac, _bounded),
    "sb3-ppo": Algorithm("PPO", PPO, make_stock_ppo, _any_but_unbounded),
    "sb3-sac": Algorithm("SAC", SAC, make_stock_sac, _bounded),
}


def make_model(config: RunConfig, venv: VecEnv) -> BaseAlgorithm:
    """Make the untrained model of a run.

    :param venv: the task's envs, as ``make_env`` makes them
    :raises UserError: if the hyperparameters do not fit together, or the env does not suit the algorithm
    """
    agent, task, algorithm = config.agent, config.task, ALGORITHMS[config.agent.algorithm]
    if not algorithm.acts_in(venv.action_space):
        raise UserError(f"env {task.name!r} has actions {venv.action_space}, which {algorithm.name} cannot take")
    try:
        return algorithm.make(config, view(agent, venv, fresh(agent.normalize, config.part.gamma)))
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"agent {agent.name!r} on env {task.name!r}: {' '.join(str(error).split())}") from error


def load_model(config: RunConfig, checkpoint: Checkpoint, venv: VecEnv | None = None) -> BaseAlgorithm:
    """Load the model of a checkpoint.

    :param venv: the task's envs to go on learning in, as ``make_env`` makes them; without them it can act only
    :raises UserError: if a file is missing or damaged, also what it has experienced if it is to learn
    """
    kind = ALGORITHMS[config.agent.algorithm].model
    seen = None if venv is None else view(config.agent, venv, saved(checkpoint.normalizer))
    with loading(checkpoint.model):
        model = kind.load(checkpoint.model, seen, device=config.device, custom_objects=_policy(config))
    if seen is None:
        return model
    if isinstance(model, OffPolicyAlgorithm):
        read_replay(model, checkpoint)
    model.set_random_seed(derived_seed("resume", config.seed, checkpoint.step))  # else it would repeat episodes
    return model


def _policy(config: RunConfig) -> dict[str, Any] | None:
    """What the config says of a policy and counts: an older file does not name what was added since."""
    if not isinstance(config.agent, PPOAgent):
        return None
    return {"policy_kwargs": policy_kwargs(config.agent, config.task)}
