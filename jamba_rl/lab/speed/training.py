"""How fast agents train, against each other and against what exists, in one run on one thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from stable_baselines3 import PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from jamba_rl.lab import provenance
from jamba_rl.lab.agent import PPOAgent, load_agent
from jamba_rl.lab.build import policy_kwargs
from jamba_rl.lab.speed.peers import installed
from jamba_rl.lab.speed.write import write_both
from jamba_rl.rl import RecurrentPPO
from jamba_rl.tasks import load_task, make_env

# One protocol for everyone; no KL stop, so that everyone makes every update.
N_ENVS, N_STEPS, BATCH_SIZE, N_EPOCHS = 16, 64, 256, 10
ROLLOUT = N_ENVS * N_STEPS
PPO_ARGUMENTS: dict[str, Any] = {
    "n_steps": N_STEPS,
    "batch_size": BATCH_SIZE,
    "n_epochs": N_EPOCHS,
    "seed": 0,
    "device": "cpu",
}


@dataclass(frozen=True)
class Speed:
    """Training speed of one contender: env-steps per second, the median and the extremes of all rounds.

    ``ratio`` is the median over rounds of its speed in units of the first contender's in the same round.
    """

    name: str
    parameters: int
    median: float
    slowest: float
    fastest: float
    ratio: float


def training_speed(
    env: str, agents: list[str], rounds: int = 3, rollouts: int = 16, in_step: bool = False
) -> list[Speed]:
    """Train all contenders in turn, a rollout each, so that a drift of the machine meets all alike.

    Beside the agents stand SB3's memoryless PPO and, where installed, ``sb3_contrib.RecurrentPPO``
    with LSTMs as wide as gives the parameters of the first agent.

    :param agents: names out of ``agents/``
    :param rounds: timed rounds after one warm-up
    :param rollouts: rollouts per round and contender; 16 of 64 steps are an episode of most robots,
        whose end costs some contenders more than others
    :param in_step: let the episodes of all envs begin together, not spread over time as in training: where they are
        of equal length, all end together, and most minibatches have no episode that begins in them
    """
    torch.set_num_threads(1)
    models = {name: _agent(name, env, in_step) for name in agents}
    models["SB3 PPO"] = PPO("MlpPolicy", _venv(env, in_step), **PPO_ARGUMENTS)
    models |= _contrib(env, in_step, _parameters(models[agents[0]]))
    speeds: dict[str, list[float]] = {name: [] for name in models}
    for i in range(rounds + 1):
        for name, seconds in _round(models, rollouts).items():
            if i > 0:
                speeds[name].append(rollouts * ROLLOUT / seconds)
    first = speeds[agents[0]]
    return [_summary(name, _parameters(models[name]), values, first) for name, values in speeds.items()]


def _round(models: dict[str, OnPolicyAlgorithm], rollouts: int) -> dict[str, float]:
    """Seconds that each contender takes for so many rollouts."""
    seconds = dict.fromkeys(models, 0.0)
    for _ in range(rollouts):
        for name, model in models.items():
            start = time.perf_counter()
            model.learn(ROLLOUT, reset_num_timesteps=False)
            seconds[name] += time.perf_counter() - start
    return seconds


def _summary(name: str, parameters: int, speeds: list[float], first: list[float]) -> Speed:
    ratio = statistics.median(mine / theirs for mine, theirs in zip(speeds, first, strict=True))
    return Speed(name, parameters, statistics.median(speeds), min(speeds), max(speeds), ratio)


def write(speeds: list[Speed], folder: Path, env: str, in_step: bool = False) -> tuple[Path, Path]:
    """Write training.csv and training.json, or training-in-step.csv and .json."""
    rows = [{key: round(x, 3) if isinstance(x, float) else x for key, x in asdict(speed).items()} for speed in speeds]
    found = provenance.collect()
    origin = found | {"versions": found["versions"] | installed(["sb3-contrib"])}
    protocol = {"env": env, "in step": in_step, "n_envs": N_ENVS, "protocol": PPO_ARGUMENTS}
    return write_both(folder, "training-in-step" if in_step else "training", rows, origin | protocol | {"rows": rows})


def training_table(speeds: list[Speed]) -> Table:
    """Format speeds for the terminal."""
    columns = ("who", "parameters", "env-steps/s", "slowest", "fastest", "of the first")
    table = Table(*columns, box=None, header_style="dim")
    for each in speeds:
        numbers = (f"{x:,.0f}" for x in (each.parameters, each.median, each.slowest, each.fastest))
        table.add_row(each.name, *numbers, f"{each.ratio:.2f}")
    return table


def _venv(env: str, in_step: bool) -> VecEnv:
    return VecNormalize(make_env(env, N_ENVS, seed=0, staggered=not in_step))


def _agent(name: str, env: str, in_step: bool) -> OnPolicyAlgorithm:
    agent = load_agent(name)
    assert isinstance(agent, PPOAgent)
    kwargs = policy_kwargs(agent, load_task(env).protocol.ppo)
    venv, length = _venv(env, in_step), agent.sequence_length
    return RecurrentPPO("JambaPolicy", venv, policy_kwargs=kwargs, sequence_length=length, **PPO_ARGUMENTS)


def _contrib(env: str, in_step: bool, parameters: int) -> dict[str, OnPolicyAlgorithm]:
    """Make sb3-contrib's LSTM agents of about ``parameters``: its default of two LSTMs, and one shared."""
    try:
        from sb3_contrib import RecurrentPPO as ContribPPO
    except ImportError:
        return {}

    def make(hidden: int, shared: bool) -> OnPolicyAlgorithm:
        kwargs = {"lstm_hidden_size": hidden, "shared_lstm": shared, "enable_critic_lstm": not shared}
        return ContribPPO("MlpLstmPolicy", _venv(env, in_step), policy_kwargs=kwargs, **PPO_ARGUMENTS)

    found = {}
    for name, shared in (("sb3-contrib RecurrentPPO", False), ("sb3-contrib, one shared LSTM", True)):
        found[name] = _closest(lambda hidden, shared=shared: make(hidden, shared), parameters)  # type: ignore[misc]
    return found


def _closest(make: Callable[[int], OnPolicyAlgorithm], parameters: int) -> OnPolicyAlgorithm:
    """Find the width whose model comes closest to ``parameters``, by bisection."""
    low, high = 1, 1024
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if _parameters(make(middle)) < parameters else (low, middle)
    return min((make(max(low - 1, 1)), make(low)), key=lambda model: abs(_parameters(model) - parameters))


def _parameters(model: OnPolicyAlgorithm) -> int:
    return sum(parameter.numel() for parameter in model.policy.parameters())
