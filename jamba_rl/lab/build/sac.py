"""Models of ``RecurrentSAC``, and what it shares with SB3's SAC."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from jamba_rl.lab.agent import SACAgent
from jamba_rl.lab.agent.sac import SACHyperparameters
from jamba_rl.lab.build.common import learning_rate, memory
from jamba_rl.lab.config import RunConfig
from jamba_rl.rl import RecurrentSAC
from jamba_rl.tasks import Task
from jamba_rl.tasks.spec import SACProtocol


def make_sac(config: RunConfig, venv: VecEnv) -> RecurrentSAC:
    """Make an untrained model.

    :param venv: envs as the agent sees them
    :raises ValueError: if the hyperparameters do not fit together
    """
    agent, protocol = config.agent, config.task.protocol.sac
    assert isinstance(agent, SACAgent)
    return RecurrentSAC(
        "JambaPolicy",
        venv,
        **sac_arguments(agent, protocol),
        n_steps=agent.n_steps,
        sequence_length=agent.sequence_length,
        burn_in=agent.burn_in,
        stored_state=agent.stored_state,
        windows_in_a_row=agent.windows_in_a_row,
        policy_kwargs=sac_policy_kwargs(agent, config.task),
        seed=config.seed,
        device=config.device,
    )


def sac_policy_kwargs(agent: SACAgent, task: Task) -> dict[str, Any]:
    """What the policy of ``RecurrentSAC`` is made with."""
    critics = ("n_critics", "target_critics", "critic_layer_norm")
    return memory(agent, task) | {name: getattr(agent, name) for name in critics}


def sac_arguments(agent: SACHyperparameters, protocol: SACProtocol) -> dict[str, Any]:
    """Arguments that every SAC has."""
    return {
        "learning_rate": learning_rate(agent),
        "gamma": protocol.gamma,
        "learning_starts": protocol.learning_starts,
        "train_freq": protocol.train_freq,
        "gradient_steps": protocol.gradient_steps,
        "batch_size": agent.batch_size,
        "buffer_size": agent.buffer_size,
        "tau": agent.tau,
        "ent_coef": agent.ent_coef,
    }
