"""Weights & Biases in its offline mode: what is on disk is what would be sent."""

from __future__ import annotations

import importlib
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jamba_rl.lab import track
from jamba_rl.lab.hparams import SCORE
from jamba_rl.lab.train import resume, train
from tests.conftest import Outcome, tiny_config
from tests.lab.experiment.grids import jobs_of

BLOCK, HEADER = 32768, 7  # of the log, which is LevelDB's


def records(path: Path) -> Iterator[Any]:
    """Content of a .wandb file."""
    messages = importlib.import_module("wandb.proto.wandb_internal_pb2")
    data, at, whole = path.read_bytes(), HEADER, b""
    while at + HEADER <= len(data):
        if (left := BLOCK - at % BLOCK) < HEADER:
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + HEADER])
        whole += data[at + HEADER : at + HEADER + size]
        at += HEADER + size
        if kind in (1, 4):  # whole, or its last part
            record = messages.Record()
            record.ParseFromString(whole)
            whole = b""
            yield record


def finished(path: Path) -> list[Any]:
    """All records, once the last one is written: W&B's own process does that in its own time."""
    deadline = time.monotonic() + 60
    while not (found := list(records(path))) or not found[-1].HasField("exit"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def items(entries: Any) -> dict[str, Any]:
    return {entry.key or ".".join(entry.nested_key): json.loads(entry.value_json) for entry in entries}


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")


@pytest.mark.usefixtures("offline")
def test_a_run_is_tracked_and_goes_on_when_it_is_resumed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(tiny_config(seed=3), folder, live=None, track="wandb")
    (first,) = folder.glob("wandb/offline-run-*/*.wandb")
    found = finished(first)
    run = next(record.run for record in found if record.HasField("run"))
    assert (run.project, run.display_name, run.run_group) == (
        "jamba-rl",
        "pendulum-p/ppo-jamba/3",
        "pendulum-p/ppo-jamba",
    )
    config = items(run.config.update)
    assert config["agent.network.pattern"] == "AM"
    assert config["task.protocol.ppo.gamma"] == 0.95
    history = [items(record.history.item) for record in found if record.HasField("history")]
    assert [row["step"] for row in history if "eval/mean_reward" in row] == [128, 256]
    assert [row["step"] for row in history if SCORE in row] == [256]
    assert any("train/loss" in row for row in history)

    resume(folder, steps=320, live=None, track="wandb")
    second = max(folder.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns)
    again = next(record.run for record in finished(second) if record.HasField("run"))
    assert again.run_id == run.run_id


@pytest.mark.usefixtures("offline")
def test_the_command_line_tracks(cli: Callable[..., Outcome], tmp_path: Path) -> None:
    small = ["--n-envs", "2", "--eval-episodes", "1", "--set", "n_steps=32", "--set", "batch_size=32"]
    done = cli("train", "--env", "pendulum-p", "--steps", "64", *small, "--track", "wandb", "--out", "run")
    assert done.code == 0, done.err
    assert len(list(tmp_path.glob("run/wandb/offline-run-*/*.wandb"))) == 1


@pytest.mark.usefixtures("offline")
def test_every_run_of_a_benchmark_is_tracked(cli: Callable[..., Outcome]) -> None:
    jobs = jobs_of(Path("mine.yaml"), Path("out"), agents=["ppo-mlp"])
    done = cli("benchmark", "mine.yaml", "--out", "out", "--track", "wandb")
    assert done.code == 0, done.err
    assert [len(list(job.folder.glob("wandb/offline-run-*/*.wandb"))) for job in jobs] == [1, 1]


def test_without_an_account_nothing_is_written(tmp_path: Path) -> None:
    env = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    env |= {"NETRC": str(tmp_path / "netrc"), "HOME": str(tmp_path), "WANDB_BASE_URL": "https://nowhere.invalid"}
    command = [sys.executable, "-m", "jamba_rl", "train", "--env", "pendulum-p", "--track", "wandb", "--out", "run"]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("WANDB_MODE=offline needs no account."), done.stderr
    assert not (tmp_path / "run").exists()


def test_a_missing_package_is_one_line(cli: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(track, "import_module", missing)
    done = cli("train", "--env", "pendulum-p", "--track", "wandb", "--out", "run")
    assert done.code == 2
    assert done.err == "jamba-rl: --track wandb needs Weights & Biases: pip install 'jamba-rl[wandb]'\n"
    assert not Path("run").exists()


def test_an_unknown_tracker_gets_the_nearest(cli: Callable[..., Outcome]) -> None:
    for command in (["train", "--env", "pendulum-p"], ["benchmark", "smoke"]):
        done = cli(*command, "--track", "wanb", "--out", "run")
        assert done.code == 2
        assert "unknown tracker 'wanb'; did you mean 'wandb'?" in done.err
        assert not Path("run").exists()
