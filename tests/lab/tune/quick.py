"""A tuning of seconds: episodes of 20 steps, a network of no size, two things to try."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jamba_rl.lab.tune.plan import Plan, Wishes, begin, check_begin, draft

SETTINGS = ["n_steps=32", "n_epochs=1", "batch_size=32", "network.d_model=8", "network.num_heads=2"]
ENV = "description: short\nbase: Pendulum-v1\nepisode_steps: 20\nhide: [velocities]\n"
SPACE = """\
search:
  all:
    learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}
  A:
    network.window: {choices: [4, 8, 16]}
protocol:
  sequence_length: {choices: [8, 16]}
"""


def write_files(folder: Path) -> tuple[str, Path]:
    """An env and a space, as a user has them."""
    env, space = folder / "short.yaml", folder / "space.yaml"
    env.write_text(ENV)
    space.write_text(SPACE)
    return str(env), space


def quick_plan(folder: Path, agent: str = "ppo-jamba", out: str = "tune", **over: Any) -> Plan:
    """A plan in ``folder / out``: two seeds of 256 steps, evaluated ten times."""
    env, space = write_files(folder)
    wishes: dict[str, Any] = {"trials": 4, "seeds": 2, "steps": 256, "episodes": 1, "n_envs": 2, "space": space}
    drafted = draft(agent, env, Wishes(**wishes | {"settings": tuple(SETTINGS)} | over))
    check_begin(folder / out, drafted)
    begin(folder / out, drafted)
    return drafted.plan


def options(folder: Path, trials: int = 4, seeds: int = 2, steps: int = 256) -> list[str]:
    """The same on the command line."""
    env, space = write_files(folder)
    sizes = ["--trials", str(trials), "--seeds", str(seeds), "--steps", str(steps)]
    sizes += ["--eval-episodes", "1", "--n-envs", "2"]
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    return ["--env", env, "--space", str(space), "--out", str(folder / "tune"), *sizes, *settings]
