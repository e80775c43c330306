"""Experiments of seconds, and what came out of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from jamba_rl import catalogue
from jamba_rl.lab.experiment.jobs import Job, make_jobs
from jamba_rl.lab.experiment.read import read_experiment
from jamba_rl.lab.run import Run

TINY: dict[str, Any] = {
    "agents": ["ppo-jamba", "ppo-mlp"],
    "envs": ["pendulum-p"],
    "seeds": [100, 101],
    "protocol": {
        "steps": 256,
        "evaluation": {"every": 128, "episodes": 1},
        "ppo": {"n_envs": 2, "n_steps": 32, "n_epochs": 1},
    },
    "set": {"batch_size": 32, "network": {"d_model": 8, "num_heads": 2}, "policy": {"net_arch": [8]}},
}
EVERY = 128


def write_config(path: Path, **over: Any) -> Path:
    """A tiny experiment, with some keys changed; None leaves one out."""
    data = catalogue.merge(TINY, over)
    catalogue.dump({key: value for key, value in data.items() if value is not None}, path)
    return path


def jobs_of(path: Path, results: Path, **over: Any) -> list[Job]:
    return make_jobs(read_experiment(str(write_config(path, **over))), results)


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`jamba-rl benchmark` in a process group of its own."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "jamba_rl", "benchmark", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def wait_for(condition: Any, process: subprocess.Popen[str], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def workers_in(folder: Path) -> list[int]:
    """Ids of the workers that were started by a benchmark in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_worker = b"experiment.worker" in (process / "cmdline").read_bytes()
            if is_worker and Path(os.readlink(process / "cwd")) == folder.resolve():
                found.append(int(process.name))
        except OSError:
            continue  # it has ended
    return found


def wait_until_none_works_in(folder: Path) -> None:
    deadline = time.monotonic() + 5
    while workers_in(folder):
        assert time.monotonic() < deadline, "workers outlive the benchmark"
        time.sleep(0.02)


def check_whole(run: Run, steps: int) -> None:
    """Every evaluation and every rollout is there once."""
    assert [int(row["step"]) for row in run.evaluations.rows()] == list(range(EVERY, steps + 1, EVERY))
    rollouts = [int(float(row["time/total_timesteps"])) for row in run.progress.rows() if row["time/fps"]]
    assert rollouts == list(range(64, steps + 1, 64))
    assert json.loads((run.folder / "result.json").read_text())["step"] == steps
    assert not list(run.folder.rglob("*.part"))
