"""Models of ``RecurrentPPO``, and what it shares with SB3's PPO."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from jamba_rl.catalogue import UserError
from jamba_rl.lab.agent import Agent, PPOAgent
from jamba_rl.lab.agent.ppo import PPOHyperparameters
from jamba_rl.lab.build.common import learning_rate, memory
from jamba_rl.lab.config import RunConfig
from jamba_rl.rl import RecurrentPPO
from jamba_rl.tasks import Task
from jamba_rl.tasks.spec import PPOProtocol


def make_ppo(config: RunConfig, venv: VecEnv) -> RecurrentPPO:
    """Make an untrained model.

    :param venv: envs as the agent sees them
    :raises ValueError: if the hyperparameters do not fit together
    """
    agent, protocol = config.agent, config.task.protocol.ppo
    assert isinstance(agent, PPOAgent)
    return RecurrentPPO(
        "JambaPolicy",
        venv,
        **ppo_arguments(agent, protocol),
        sequence_length=protocol.sequence_length,
        advantage_floor=protocol.advantage_floor,
        warm_up=agent.warm_up,
        policy_kwargs=policy_kwargs(agent, config.task),
        seed=config.seed,
        device=config.device,
    )


def policy_kwargs(agent: Agent, task: Task) -> dict[str, Any]:
    """What the policy of ``RecurrentPPO`` is made with.

    :raises UserError: if the agent is one of another algorithm
    """
    if not isinstance(agent, PPOAgent):
        raise UserError(f"agent {agent.name!r} is none of RecurrentPPO: it needs algorithm ppo")
    own = {"observation_sum": agent.observation_sum, "log_std_init": task.protocol.ppo.log_std_init}
    return memory(agent, task) | own


def ppo_arguments(agent: PPOHyperparameters, protocol: PPOProtocol) -> dict[str, Any]:
    """Arguments that every PPO has."""
    return {
        "learning_rate": learning_rate(agent),
        "n_steps": protocol.n_steps,
        "gamma": protocol.gamma,
        "gae_lambda": protocol.gae_lambda,
        "batch_size": agent.batch_size,
        "n_epochs": protocol.n_epochs,
        "clip_range": agent.clip_range,
        "ent_coef": protocol.ent_coef,
        "vf_coef": protocol.vf_coef,
        "max_grad_norm": agent.max_grad_norm,
        "target_kl": agent.target_kl,
    }
