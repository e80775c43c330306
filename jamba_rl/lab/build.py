"""From a resolved config to an untrained model."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import nn

from jamba_rl.catalogue import UserError
from jamba_rl.lab.agent import Normalize, PPOAgent
from jamba_rl.lab.config import RunConfig
from jamba_rl.rl import RecurrentPPO
from jamba_rl.tasks.spec import PPOProtocol

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU}
ACTION_SPACES = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


def make_model(config: RunConfig, venv: VecEnv) -> RecurrentPPO:
    """Make the untrained model of a run.

    :param venv: the task's envs, not normalised yet
    :raises UserError: if the hyperparameters do not fit together, or the env does not suit the algorithm
    """
    space = venv.action_space
    if not isinstance(space, ACTION_SPACES) or (isinstance(space, spaces.Box) and not space.is_bounded()):
        raise UserError(f"env {config.task.name!r} has actions {space}, which PPO cannot take")
    agent, protocol = config.agent, config.task.protocol.ppo
    learning_rate = agent.learning_rate
    try:
        return RecurrentPPO(
            "JambaPolicy",
            normalized(venv, agent.normalize, protocol.gamma),
            learning_rate if agent.learning_rate_schedule == "constant" else LinearSchedule(learning_rate, 0.0, 1.0),
            n_steps=protocol.n_steps,
            gamma=protocol.gamma,
            gae_lambda=protocol.gae_lambda,
            batch_size=agent.batch_size,
            n_epochs=agent.n_epochs,
            clip_range=agent.clip_range,
            ent_coef=agent.ent_coef,
            vf_coef=agent.vf_coef,
            max_grad_norm=agent.max_grad_norm,
            target_kl=agent.target_kl,
            sequence_length=agent.sequence_length,
            policy_kwargs=policy_kwargs(agent, protocol),
            seed=config.seed,
            device=config.device,
        )
    except ValueError as error:
        raise UserError(f"agent {agent.name!r} on env {config.task.name!r}: {' '.join(str(error).split())}") from error


def policy_kwargs(agent: PPOAgent, protocol: PPOProtocol) -> dict[str, Any]:
    """What the policy is made with."""
    return {
        "network": agent.network,
        "net_arch": list(agent.policy.net_arch),
        "activation_fn": ACTIVATIONS[agent.policy.activation],
        "log_std_init": protocol.log_std_init,
    }


def normalized(venv: VecEnv, normalize: Normalize, gamma: float) -> VecNormalize:
    """Wrap in SB3's running normalisation; observations that are no real numbers stay as they are."""
    space = venv.observation_space
    keys = None
    if isinstance(space, spaces.Dict):
        keys = [key for key, part in space.spaces.items() if _is_real(part)]
    observations = normalize.observations and (bool(keys) if keys is not None else _is_real(space))
    return VecNormalize(
        venv,
        norm_obs=observations,
        norm_reward=normalize.rewards,
        gamma=gamma,
        norm_obs_keys=keys if observations else None,
    )


def _is_real(space: spaces.Space) -> bool:
    return isinstance(space, spaces.Box) and space.dtype is not None and space.dtype.kind == "f"
