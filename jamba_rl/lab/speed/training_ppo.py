"""Who is timed beside agents of PPO, and by what protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from jamba_rl.lab.agent import PPOAgent
from jamba_rl.lab.build import learned_parameters, policy_kwargs
from jamba_rl.rl import RecurrentPPO
from jamba_rl.tasks import load_task, make_env

# One protocol for everyone; no KL stop, so that everyone makes every update.
N_ENVS, N_STEPS, SEQUENCE_LENGTH = 16, 64, 32
ROLLOUT = N_ENVS * N_STEPS
ARGUMENTS: dict[str, Any] = {"n_steps": N_STEPS, "batch_size": 256, "n_epochs": 10, "seed": 0, "device": "cpu"}
PROTOCOL = {"n_envs": N_ENVS} | ARGUMENTS


def contenders(env: str, agents: list[PPOAgent], in_step: bool) -> dict[str, OnPolicyAlgorithm]:
    """Agents, SB3's memoryless PPO and, where installed, ``sb3_contrib.RecurrentPPO``.

    Its LSTMs are as wide as gives the parameters of the first agent.
    """
    models: dict[str, OnPolicyAlgorithm] = {agent.name: _agent(agent, env, in_step) for agent in agents}
    return models | peers(env, in_step, size(models[agents[0].name]))


def peers(env: str, in_step: bool, parameters: int) -> dict[str, OnPolicyAlgorithm]:
    """Make those who are not ours.

    :param parameters: that agents with an LSTM have, about
    """
    return {"SB3 PPO": PPO("MlpPolicy", _venv(env, in_step), **ARGUMENTS)} | _contrib(env, in_step, parameters)


def size(model: BaseAlgorithm) -> int:
    """How many numbers a model learns."""
    return learned_parameters(model.policy).total


def _venv(env: str, in_step: bool) -> VecEnv:
    return VecNormalize(make_env(env, N_ENVS, seed=0, staggered=not in_step))


def _agent(agent: PPOAgent, env: str, in_step: bool) -> OnPolicyAlgorithm:
    kwargs = policy_kwargs(agent, load_task(env))
    venv = _venv(env, in_step)
    return RecurrentPPO("JambaPolicy", venv, policy_kwargs=kwargs, sequence_length=SEQUENCE_LENGTH, **ARGUMENTS)


def _contrib(env: str, in_step: bool, parameters: int) -> dict[str, OnPolicyAlgorithm]:
    """Make sb3-contrib's LSTM agents of about ``parameters``: its default of two LSTMs, and one shared."""
    try:
        from sb3_contrib import RecurrentPPO as ContribPPO
    except ImportError:
        return {}

    def make(hidden: int, shared: bool) -> OnPolicyAlgorithm:
        kwargs = {"lstm_hidden_size": hidden, "shared_lstm": shared, "enable_critic_lstm": not shared}
        return ContribPPO("MlpLstmPolicy", _venv(env, in_step), policy_kwargs=kwargs, **ARGUMENTS)

    found = {}
    for name, shared in (("sb3-contrib RecurrentPPO", False), ("sb3-contrib, one shared LSTM", True)):
        found[name] = _closest(lambda hidden, shared=shared: make(hidden, shared), parameters)  # type: ignore[misc]
    return found


def _closest(make: Callable[[int], OnPolicyAlgorithm], parameters: int) -> OnPolicyAlgorithm:
    """Find the width whose model comes closest to ``parameters``, by bisection."""
    low, high = 1, 1024
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if size(make(middle)) < parameters else (low, middle)
    return min((make(max(low - 1, 1)), make(low)), key=lambda model: abs(size(model) - parameters))
