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
from stable_baselines3.common.base_class import BaseAlgorithm

from jamba_rl.lab import provenance
from jamba_rl.lab.agent import load_agent
from jamba_rl.lab.build import learned_parameters
from jamba_rl.lab.speed import training_ppo, training_sac
from jamba_rl.lab.speed.peers import AGENTS, installed
from jamba_rl.lab.speed.write import write_both


@dataclass(frozen=True)
class Field:
    """Agents of one algorithm, who can be timed against each other.

    :ivar contenders: of an env, of agents, and whether episodes begin together; by name, the agents first
    :ivar turn: env steps that each makes before it is the next one's turn
    :ivar protocol: what all of them are trained by
    :ivar file: where the table goes
    """

    contenders: Callable[..., dict[str, Any]]
    turn: int
    protocol: dict[str, Any]
    file: str


FIELDS = {
    "ppo": Field(training_ppo.contenders, training_ppo.ROLLOUT, training_ppo.PROTOCOL, "training"),
    "sac": Field(training_sac.contenders, training_sac.TURN, training_sac.PROTOCOL, "training-sac"),
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


def training_speed(env: str, agents: list[str], rounds: int = 3, turns: int = 16, in_step: bool = False) -> list[Speed]:
    """Train all contenders in turn, so that a drift of the machine meets all alike.

    Beside the agents stands what else there is of their algorithm.

    :param agents: names out of ``agents/``, all of one algorithm
    :param rounds: timed rounds after one warm-up
    :param turns: of every contender per round; 16 of 64 steps are an episode of most robots,
        whose end costs some contenders more than others
    :param in_step: let the episodes of all envs begin together, not spread over time as in training: where they are
        of equal length, all end together, and most minibatches have no episode that begins in them
    """
    torch.set_num_threads(1)
    chosen = [load_agent(name) for name in agents]
    field = FIELDS[chosen[0].algorithm]
    models = field.contenders(env, chosen, in_step)
    speeds: dict[str, list[float]] = {name: [] for name in models}
    for i in range(rounds + 1):
        for name, seconds in _round(models, turns, field.turn).items():
            if i > 0:
                speeds[name].append(turns * field.turn / seconds)
    first = speeds[agents[0]]
    sizes = {name: learned_parameters(model.policy).total for name, model in models.items()}
    return [_summary(name, sizes[name], values, first) for name, values in speeds.items()]


def _round(models: dict[str, BaseAlgorithm], turns: int, steps: int) -> dict[str, float]:
    """Seconds that each contender takes for so many turns."""
    seconds = dict.fromkeys(models, 0.0)
    for _ in range(turns):
        for name, model in models.items():
            start = time.perf_counter()
            model.learn(steps, reset_num_timesteps=False)
            seconds[name] += time.perf_counter() - start
    return seconds


def _summary(name: str, parameters: int, speeds: list[float], first: list[float]) -> Speed:
    ratio = statistics.median(mine / theirs for mine, theirs in zip(speeds, first, strict=True))
    return Speed(name, parameters, statistics.median(speeds), min(speeds), max(speeds), ratio)


def write(speeds: list[Speed], folder: Path, env: str, in_step: bool = False) -> tuple[Path, Path]:
    """Write training.csv and training.json; of SAC training-sac, of envs in step training-in-step."""
    field = FIELDS[load_agent(speeds[0].name).algorithm]
    rows = [{key: round(x, 3) if isinstance(x, float) else x for key, x in asdict(speed).items()} for speed in speeds]
    found = provenance.collect()
    origin = found | {"versions": found["versions"] | installed(AGENTS)}
    protocol = {"env": env, "in step": in_step, "protocol": field.protocol}
    name = f"{field.file}-in-step" if in_step else field.file
    return write_both(folder, name, rows, origin | protocol | {"rows": rows})


def training_table(speeds: list[Speed]) -> Table:
    """Format speeds for the terminal."""
    columns = ("who", "parameters", "env-steps/s", "slowest", "fastest", "of the first")
    table = Table(*columns, box=None, header_style="dim")
    for each in speeds:
        numbers = (f"{x:,.0f}" for x in (each.parameters, each.median, each.slowest, each.fastest))
        table.add_row(each.name, *numbers, f"{each.ratio:.2f}")
    return table
