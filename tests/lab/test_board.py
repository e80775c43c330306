"""TensorBoard as a process of its own: what it shows, and how it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from jamba_rl.catalogue import UserError
from jamba_rl.lab.board import board_folder
from jamba_rl.lab.run import Run
from tests.conftest import Outcome


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def ask(url: str, body: dict | None = None) -> object:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.fixture
def results(trained: Run, tmp_path: Path) -> Path:
    """A results folder with two seeds of an agent."""
    for seed in ("0", "1"):
        shutil.copytree(trained.folder, tmp_path / "results" / "runs" / "pendulum-p" / "ppo-jamba" / seed)
    return tmp_path / "results"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_shows_runs_by_env_agent_and_seed_and_ends_cleanly(results: Path, number: int) -> None:
    port = free_port()
    command = [sys.executable, "-m", "jamba_rl", "board", str(results), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"runs      {results / 'runs'}\n"
        said = process.stdout.readline()
        url = re.search(r"http://\S+", said)
        assert url is not None, said
        assert f":{port}/" in url[0]
        deadline = time.monotonic() + 60
        while len(shown := ask(f"{url[0]}data/runs")) < 2 and time.monotonic() < deadline:  # type: ignore[arg-type]
            time.sleep(0.2)
        assert sorted(shown) == [f"pendulum-p/ppo-jamba/{seed}/tb" for seed in (0, 1)]  # type: ignore[call-overload]
        body = {"experimentName": "", "allowedStatuses": ["STATUS_SUCCESS"], "startIndex": 0, "sliceSize": 10}
        groups = ask(f"{url[0]}data/plugin/hparams/session_groups", body)
        assert len(groups["sessionGroups"]) == 1  # type: ignore[index]
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "Traceback" not in err


def test_it_finds_the_runs_of_a_results_folder_of_a_run_and_of_anything_above(results: Path) -> None:
    run = results / "runs" / "pendulum-p" / "ppo-jamba" / "0"
    assert board_folder(results) == results / "runs"
    assert board_folder(run) == run
    assert board_folder(results.parent) == results.parent


def test_what_cannot_be_shown_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name, said in (("nowhere", "no folder"), ("file", "is no folder"), ("empty", "no TensorBoard events under")):
        with pytest.raises(UserError, match=said):
            board_folder(tmp_path / name)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "no folder nowhere"),
        (["empty"], "no TensorBoard events under empty"),
        (["empty", "--port", "70000"], "--port must be from 1 to 65535, was 70000"),
    ],
)
def test_a_mistake_is_one_line(cli: Callable[..., Outcome], arguments: list[str], said: str) -> None:
    Path("empty").mkdir()
    done = cli("board", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_a_port_that_is_taken_is_one_line(results: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        command = [sys.executable, "-m", "jamba_rl", "board", str(results), "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "TensorBoard" in done.stderr
