"""How fast envs step, by this process, by processes of their own, and in EnvPool's threads, in one run."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path

import gymnasium
import numpy as np
from rich.table import Table
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from jamba_rl.lab import provenance
from jamba_rl.lab.speed.peers import installed
from jamba_rl.lab.speed.timing import Times, interleaved, ratio
from jamba_rl.lab.speed.write import write_both
from jamba_rl.tasks import Task, load_task, make_env, make_single_env
from jamba_rl.tasks.stepping.envpool import IDS

THEIRS = "SB3's SubprocVecEnv"
STEPS = 250  # of all envs, per call: what is timed has ends of episodes in it


@dataclass(frozen=True)
class SteppingSpeed:
    """Env-steps per second of all envs together, median and extremes of the rounds.

    ``ratio`` is the median over rounds of its speed in units of that of SB3's ``SubprocVecEnv`` in the same round.
    """

    name: str
    median: float
    slowest: float
    fastest: float
    ratio: float


def stepping_speed(env: str, n_envs: int = 8, rounds: int = 7) -> list[SteppingSpeed]:
    """Step all contenders in turn with random actions.

    :param env: a task's name, the path of its YAML, or a gymnasium id
    """
    task = load_task(env)
    with ExitStack() as stack:
        venvs = {name: stack.enter_context(closing(make())) for name, make in _contenders(task, n_envs).items()}
        times = interleaved({name: _stepper(venv) for name, venv in venvs.items()}, rounds, sample=0.5)
    return [_summary(name, each, times[THEIRS], n_envs * STEPS) for name, each in times.items()]


def _contenders(task: Task, n_envs: int) -> dict[str, Callable[[], VecEnv]]:
    def theirs() -> gymnasium.Env:
        warnings.filterwarnings("ignore", ".*is out of date", DeprecationWarning)  # in processes of its own
        return Monitor(make_single_env(task))

    makers: dict[str, Callable[[], VecEnv]] = {
        THEIRS: lambda: SubprocVecEnv([theirs] * n_envs),
        "SB3's DummyVecEnv": lambda: DummyVecEnv([theirs] * n_envs),
        "in-process": lambda: make_env(task, n_envs, stepping="in-process"),
    }
    if task.base in IDS and task.dynamics is None and importlib.util.find_spec("envpool") is not None:
        makers["envpool"] = lambda: make_env(task, n_envs, stepping="envpool")
    return makers


def _stepper(venv: VecEnv) -> Callable[[], None]:
    """Return what makes the same `STEPS` steps whenever it is called."""
    space, n_envs, generator = venv.action_space, venv.num_envs, np.random.default_rng(0)
    venv.seed(0)
    venv.reset()
    if isinstance(space, gymnasium.spaces.Box):
        actions = generator.uniform(-1, 1, (STEPS, n_envs, *space.shape)).astype(np.float32)
    else:
        space.seed(0)
        actions = np.array([[space.sample() for _ in range(n_envs)] for _ in range(STEPS)])

    def steps() -> None:
        for action in actions:
            venv.step(action)

    return steps


def _summary(name: str, times: Times, theirs: Times, steps: int) -> SteppingSpeed:
    speeds = [steps / seconds for seconds in times.rounds]
    return SteppingSpeed(name, steps / times.median, min(speeds), max(speeds), ratio(theirs, times).value)


def write(speeds: list[SteppingSpeed], folder: Path, env: str, n_envs: int) -> tuple[Path, Path]:
    """Write stepping.csv and stepping.json."""
    rows = [{key: round(x, 3) if isinstance(x, float) else x for key, x in asdict(speed).items()} for speed in speeds]
    found = provenance.collect()
    origin = found | {"versions": found["versions"] | installed(["envpool"])}
    return write_both(folder, "stepping", rows, origin | {"env": env, "n_envs": n_envs, "rows": rows})


def stepping_table(speeds: list[SteppingSpeed]) -> Table:
    """Format speeds for the terminal."""
    table = Table("how", "env-steps/s", "slowest", "fastest", "of SubprocVecEnv", box=None, header_style="dim")
    for each in speeds:
        table.add_row(each.name, *(f"{x:,.0f}" for x in (each.median, each.slowest, each.fastest)), f"{each.ratio:.2f}")
    return table
