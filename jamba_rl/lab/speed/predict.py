"""How long an agent takes to act: one step of ``model.predict``, with its memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table
from stable_baselines3.common.base_class import BaseAlgorithm

from jamba_rl.lab import provenance
from jamba_rl.lab.agent import load_agent
from jamba_rl.lab.build import make_model
from jamba_rl.lab.config import configure
from jamba_rl.lab.inspection import SMALL_REPLAY
from jamba_rl.lab.speed import training_ppo
from jamba_rl.lab.speed.peers import AGENTS, installed
from jamba_rl.lab.speed.timing import interleaved
from jamba_rl.lab.speed.write import write_both
from jamba_rl.tasks import make_env

N_ENVS = (1, 16)
US = 1e6


@dataclass(frozen=True)
class Latency:
    """How long one step takes, over all calls, in microseconds.

    :ivar n_envs: observations of a call
    :ivar state: bytes of memory per env that ``predict`` hands out and takes back
    :ivar seen: bytes of an observation per env: where the memory is a window, it is in there
    """

    name: str
    n_envs: int
    p50: float
    p95: float
    state: int
    seen: int
    calls: int


class Actor:
    """Acts step by step, and writes down how long each step took."""

    def __init__(self, model: BaseAlgorithm, n_envs: int) -> None:
        venv = model.get_env()
        assert venv is not None
        first = venv.reset()
        self.model, self.n_envs = model, n_envs
        self.observations: Any = _tiled(first, n_envs)
        self.state: tuple[np.ndarray, ...] | None = None
        self.starts = np.ones(n_envs, dtype=bool)
        self.seconds: list[float] = []

    def __call__(self) -> None:
        """Act once."""
        start = time.perf_counter()
        _, self.state = self.model.predict(self.observations, self.state, self.starts, deterministic=True)
        self.seconds.append(time.perf_counter() - start)
        self.starts = np.zeros(self.n_envs, dtype=bool)

    def latency(self, name: str) -> Latency:
        """Sum up."""
        p50, p95 = (float(p) for p in US * np.percentile(self.seconds, (50, 95)))
        state, seen = (_bytes(arrays) // self.n_envs for arrays in (self.state, self.observations))
        return Latency(name, self.n_envs, p50, p95, state, seen, len(self.seconds))


def predict_speed(
    env: str, agents: Sequence[str], rounds: int = 15, sample: float = 0.05, n_envs: Sequence[int] = N_ENVS
) -> list[Latency]:
    """Time all agents in turn, beside SB3's PPO and sb3-contrib's RecurrentPPO where it is installed.

    Networks are untrained, which makes no difference to time.

    :param agents: names out of ``agents/``, of any algorithm
    :param rounds: timed rounds, in which everyone acts for at least ``sample`` seconds
    """
    torch.set_num_threads(1)
    models = _models(env, agents)
    found = []
    for n in n_envs:
        actors = {name: Actor(model, n) for name, model in models.items()}
        interleaved(actors, 1, sample)
        for actor in actors.values():
            actor.seconds.clear()  # what warmed up
        interleaved(actors, rounds, sample)
        found += [actor.latency(name) for name, actor in actors.items()]
    return found


def _models(env: str, agents: Sequence[str]) -> dict[str, BaseAlgorithm]:
    models = {name: _agent(name, env) for name in agents}
    first = next((name for name in agents if load_agent(name).algorithm == "ppo"), "ppo-jamba")
    size = training_ppo.size(models.get(first) or _agent(first, env))
    return models | training_ppo.peers(env, in_step=True, parameters=size)


def _agent(name: str, env: str) -> BaseAlgorithm:
    settings = [f"buffer_size={SMALL_REPLAY}"] if load_agent(name).part == "sac" else []
    config = configure(env, name, settings=settings)
    return make_model(config, make_env(config.task, config.part.n_envs, seed=0))


def _tiled(observations: Any, n_envs: int) -> Any:
    """The first observation, as often as there are envs."""
    if isinstance(observations, dict):
        return {key: _tiled(value, n_envs) for key, value in observations.items()}
    return np.repeat(observations[:1], n_envs, axis=0)


def _bytes(arrays: Any) -> int:
    if arrays is None:
        return 0
    parts = arrays.values() if isinstance(arrays, dict) else arrays if isinstance(arrays, tuple) else (arrays,)
    return sum(part.nbytes for part in parts)


def write(latencies: Sequence[Latency], folder: Path, env: str) -> tuple[Path, Path]:
    """Write predict.csv and predict.json."""
    rows = [{key: round(x, 2) if isinstance(x, float) else x for key, x in asdict(each).items()} for each in latencies]
    found = provenance.collect()
    origin = found | {"versions": found["versions"] | installed(AGENTS), "env": env, "threads": 1}
    return write_both(folder, "predict", rows, origin | {"unit": "us", "rows": rows})


def predict_table(latencies: Sequence[Latency]) -> Table:
    """Format latencies for the terminal: a line per agent."""
    counts = list(dict.fromkeys(each.n_envs for each in latencies))
    table = Table("who", box=None, header_style="dim")
    for n in counts:
        for column in (f"p50 us, {n} env{'s' if n > 1 else ''}", "p95 us"):
            table.add_column(column, justify="right")
    for column in ("state B", "seen B"):
        table.add_column(column, justify="right")
    for name in dict.fromkeys(each.name for each in latencies):
        own = {each.n_envs: each for each in latencies if each.name == name}
        times = [f"{x:,.0f}" for n in counts for x in (own[n].p50, own[n].p95)]
        last = own[counts[-1]]
        table.add_row(name, *times, f"{last.state:,}", f"{last.seen:,}")
    return table
