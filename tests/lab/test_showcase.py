"""Policies beside a report: what `scripts/showcase` keeps plays as the run did that it is of."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from jamba_rl.lab.evaluate import evaluate_run
from jamba_rl.lab.train import train
from tests.lab.small import small_config

SCRIPT = Path(__file__).parents[2] / "scripts" / "showcase"


def showcase(results: Path, task: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, results, task], capture_output=True, text=True)


@pytest.mark.parametrize("agent", ["sac-jamba", "ppo-jamba-window"])
def test_the_run_in_the_middle_plays_as_it_did(agent: str, tmp_path: Path) -> None:
    runs = tmp_path / "runs" / "pendulum-p" / agent
    train(small_config(agent), runs / "0", live=False)
    for seed, final in (1, -1e6), (2, 1e6):
        evaluations = Path(shutil.copytree(runs / "0", runs / str(seed))) / "evaluations.csv"
        pd.read_csv(evaluations).assign(mean_reward=final).to_csv(evaluations, index=False)
    done = showcase(tmp_path, "pendulum-p")
    assert done.returncode == 0, done.stderr
    assert f"policies/{agent}: seed 0" in done.stdout
    kept = tmp_path / "policies" / agent
    assert evaluate_run(kept, episodes=2)[0] == evaluate_run(runs / "0", episodes=2)[0]
    assert (kept / "model.zip").stat().st_size < (runs / "0" / "model.zip").stat().st_size


def test_no_run_of_the_task_is_said_in_a_line(tmp_path: Path) -> None:
    done = showcase(tmp_path, "pendulum-p")
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path}/runs has no finished run of pendulum-p with its model\n"
