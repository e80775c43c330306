"""Who is timed beside agents of SAC, and by what protocol."""

from __future__ import annotations

from typing import Any

from stable_baselines3 import SAC
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from jamba_rl.lab.agent import SACAgent
from jamba_rl.lab.build import sac_policy_kwargs
from jamba_rl.rl import RecurrentSAC
from jamba_rl.tasks import load_task, make_env

# One env, and one update on 256 steps out of the replay after each of its steps, for everyone.
TURN = 64  # env steps
ARGUMENTS: dict[str, Any] = {
    "batch_size": 256,
    "buffer_size": 50_000,
    "learning_starts": 2 * TURN,  # the first turn of all, which is not timed, goes past it
    "train_freq": 1,
    "gradient_steps": 1,
    "seed": 0,
    "device": "cpu",
}
PROTOCOL = {"n_envs": 1} | ARGUMENTS


def contenders(env: str, agents: list[SACAgent], in_step: bool) -> dict[str, SAC]:
    """Agents, and SB3's memoryless SAC with its default network."""
    models: dict[str, SAC] = {agent.name: _agent(agent, env, in_step) for agent in agents}
    models["SB3 SAC"] = SAC("MlpPolicy", _venv(env, in_step), **ARGUMENTS)
    return models


def _agent(agent: SACAgent, env: str, in_step: bool) -> RecurrentSAC:
    memory = {name: getattr(agent, name) for name in ("sequence_length", "burn_in", "stored_state", "windows_in_a_row")}
    kwargs = sac_policy_kwargs(agent, load_task(env))
    return RecurrentSAC("JambaPolicy", _venv(env, in_step), policy_kwargs=kwargs, **memory, **ARGUMENTS)


def _venv(env: str, in_step: bool) -> VecEnv:
    return VecNormalize(make_env(env, 1, seed=0, staggered=not in_step), norm_reward=False)
