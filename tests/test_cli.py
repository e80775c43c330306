"""User journeys, and every mistake that can be made on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from jamba_rl.lab.run import PROGRESS_STEP, Run
from jamba_rl.rl import RecurrentPPO
from tests.conftest import TINY_OPTIONS, Outcome

Cli = Callable[..., Outcome]
TRAIN = ["train", "--env", "pendulum-p", "--eval-every", "128", *TINY_OPTIONS]


def test_train_evaluate_resume(cli: Cli, tmp_path: Path) -> None:
    trained = cli(*TRAIN, "--steps", "256")
    run = Run.open(tmp_path / "results/runs/pendulum-p/ppo-jamba/0-1")
    assert trained.code == 0
    assert "256/256 steps" in trained.err
    for said in (
        "return",
        "steps/s",
        "results/runs/pendulum-p/ppo-jamba/0-1",
        "--resume",
        "jamba-rl evaluate",
        "jamba-rl board",
    ):
        assert said in trained.out

    evaluated = cli("evaluate", str(run.folder), "--episodes", "2", "--seed", "3")
    report = json.loads((run.folder / "evaluation-3.json").read_text())
    assert evaluated.code == 0
    assert f"{report['mean_reward']:,.1f} +/- {report['std_reward']:,.1f} over 2 episodes" in evaluated.out
    assert "length    200.0" in evaluated.out

    # the very command that the summary names
    command = next(line for line in trained.out.splitlines() if line.startswith("continue"))
    resumed = cli(*command.split()[2:])
    assert resumed.code == 0
    assert [row["step"] for row in run.evaluations.rows()] == ["128", "256", "384", "512"]


def test_an_agent_of_sac_is_trained_evaluated_and_resumed(cli: Cli, tmp_path: Path) -> None:
    options = ["--eval-episodes", "1", "--eval-every", "40", "--n-envs", "2", "--set", "learning_starts=10"]
    options += ["--set", "batch_size=4", "--set", "history=4", "--set", "policy.net_arch=[8]"]
    trained = cli("train", "--env", "pendulum-p", "--agent", "sac-jamba-window", "--steps", "40", *options)
    assert trained.code == 0, trained.err
    run = Run.open(tmp_path / "results/runs/pendulum-p/sac-jamba-window/0-1")
    assert run.read_config()["task"]["protocol"]["sac"]["n_envs"] == 2
    assert cli("evaluate", str(run.folder), "--episodes", "1").code == 0
    command = next(line for line in trained.out.splitlines() if line.startswith("continue"))
    assert cli(*command.split()[2:]).code == 0
    assert [row["step"] for row in run.evaluations.rows()] == ["40", "80"]


def test_runs_never_share_a_default_folder(cli: Cli, tmp_path: Path) -> None:
    for _ in range(2):
        assert cli(*TRAIN, "--steps", "64", "--seed", "7").code == 0
    assert {path.name for path in (tmp_path / "results/runs/pendulum-p/ppo-jamba").iterdir()} == {"7-1", "7-2"}


def test_options_reach_the_run(cli: Cli, tmp_path: Path) -> None:
    torch.set_num_threads(2)
    arguments = ["--agent", "ppo-lstm", "--seed", "4", "--steps", "64", "--out", "here", "--no-progress"]
    assert cli(*TRAIN, *arguments, "--eval-every", "32", "--set", "network.pattern=LG", "--set", "gamma=0.5").code == 0
    config = Run.open(tmp_path / "here").read_config()
    protocol = config["task"]["protocol"]
    assert (config["seed"], config["device"], config["agent"]["name"]) == (4, "cpu", "ppo-lstm")
    assert config["agent"]["network"]["pattern"] == "LG"
    assert (protocol["steps"], protocol["evaluation"], protocol["ppo"]["n_envs"]) == (
        64,
        {"every": 32, "episodes": 1},
        2,
    )
    assert protocol["ppo"]["gamma"] == 0.5
    (start,) = json.loads((tmp_path / "here" / "provenance.json").read_text())
    assert start["threads"] == 1


def test_old_mujoco_ids_train_without_a_warning(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", "--env", "HalfCheetah-v4", "--steps", "64", "--out", "run", *TINY_OPTIONS)
    assert done.code == 0
    assert len(done.err.splitlines()) == 1, done.err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]  # and no log file of the simulator's


def test_list_shows_names_with_descriptions(cli: Cli) -> None:
    agents, envs, both = cli("list", "agents").out, cli("list", "envs").out, cli("list").out
    for agent in ("ppo-jamba", "ppo-jamba-moe", "ppo-jamba-window", "ppo-mlp-framestack", "sac-jamba-window"):
        assert agent in agents
    assert "pendulum-p" not in agents
    assert "pendulum-p" in envs
    assert "angular velocity is hidden" in envs
    assert "any gymnasium id" in envs
    assert "ppo-jamba" in both
    assert "pendulum-p" in both


@pytest.mark.parametrize("arguments", [[], ["--help"], ["train", "--help"], ["evaluate", "-h"], ["list", "-h"]])
def test_help_explains(cli: Cli, arguments: list[str]) -> None:
    done = cli(*arguments)
    assert done.code == 0
    assert "jamba-rl" in done.out
    if arguments[:1] == ["train"]:
        for option in (
            "env",
            "agent",
            "steps",
            "seed",
            "n-envs",
            "device",
            "out",
            "set",
            "eval-every",
            "no-progress",
            "resume",
        ):
            assert f"--{option}" in done.out


def test_the_package_is_a_program_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jamba_rl", "list", "agents"], capture_output=True, text=True, check=True
    )
    assert "ppo-jamba" in done.stdout
    wrong = subprocess.run([sys.executable, "-m", "jamba_rl", "lst"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2


MISTAKES = [
    (["train"], "--env is missing"),
    (["train", "--env", "pendulm-p"], "unknown env 'pendulm-p'; did you mean 'pendulum-p'?"),
    (["train", "--env", "HalfCheetah-v44"], "did you mean 'HalfCheetah-v4'?"),
    (["train", "--env", "HalfCheetah-v3"], "gymnasium-robotics"),
    (["train", "--env", "pendulum-p", "--seed", "99999999999"], "Seed must be between"),
    (["train", "--env", "nowhere.yaml"], "no such file: nowhere.yaml"),
    (["train", "--env", "pendulum-p", "--agent", "ppo-jmba"], "unknown agent 'ppo-jmba'; did you mean 'ppo-jamba'?"),
    (["train", "--env", "pendulum-p", "--set", "network.patern=M"], "did you mean 'network.pattern'?"),
    (["train", "--env", "pendulum-p", "--set", "network.pattern=MX"], "letter 'X' is unknown"),
    (["train", "--env", "pendulum-p", "--set", "batch_size=four"], "batch_size: must be a valid integer"),
    (["train", "--env", "pendulum-p", "--set", "sequence_length=7"], "sequence_length 7 must divide"),
    (["train", "--env", "pendulum-p", "--agent", "sac-jamba-window", "--set", "n_steps=4"], "unknown key 'n_steps'"),
    (["train", "--env", "cartpole-p", "--agent", "sac-jamba-window"], "which SAC cannot take"),
    (["train", "--env", "CliffWalking-v1", "--agent", "sac-jamba-window"], "which SAC cannot take"),
    (["train", "--env", "CliffWalking-v1", "--agent", "ppo-jamba-window"], "history: a history is of vectors"),
    (["train", "--env", "bad-task.yaml"], "bad-task.yaml: unknown key 'hied'; did you mean 'hide'?"),
    (["train", "--env", "bad-type.yaml"], "bad-type.yaml: protocol.steps: must be a valid integer"),
    (["train", "--env", "pendulum-p", "--agent", "bad-agent.yaml"], "bad-agent.yaml: unknown key 'networc'"),
    (["train", "--env", "pendulum-p", "--agent", "bad-agent-type.yaml"], "network.d_model: must be a valid integer"),
    (["train", "--env", "pendulum-p", "--steps", "0"], "--steps must be at least 1, was 0"),
    (["train", "--env", "pendulum-p", "--steps", "-5"], "--steps must be at least 1, was -5"),
    (["train", "--env", "pendulum-p", "--steps", "many"], "--steps"),
    (["train", "--env", "pendulum-p", "--n-envs", "0"], "--n-envs"),
    (["train", "--env", "pendulum-p", "--eval-every", "0"], "--eval-every"),
    (["train", "--env", "pendulum-p", "--seed", "-1"], "--seed"),
    (["train", "--env", "pendulum-p", "--device", "gpu"], "unknown device 'gpu'"),
    (["train", "--env", "pendulum-p", "--stpes", "5"], "--steps"),
    (["train", "--env", "pendulum-p", "--out", "holds-a-run"], "holds-a-run already holds a run"),
    (["train", "--env", "pendulum-p", "--out", "bad-task.yaml"], "no empty folder"),
    (["train", "--resume", "nowhere"], "no run at nowhere"),
    (["train", "--resume", "holds-a-run", "--env", "pendulum"], "is a run of env 'pendulum-p', not of 'pendulum'"),
    (["train", "--resume", "holds-a-run"], "already trained for 256 steps"),
    (["train", "--resume", "holds-a-run", "--seed", "0", "--set", "gamma=1"], "leave out --seed, --set"),
    (["evaluate", "nowhere"], "no run at nowhere"),
    (["evaluate"], "RUN"),
    (["evaluate", "holds-a-run", "--episodes", "0"], "--episodes"),
    (["report", "holds-a-run"], "no finished run under holds-a-run/runs"),
    (["speed", "training", "ppo-jmba"], "did you mean 'ppo-jamba'?"),
    (["speed", "training", "sac-jamba-window"], "'sac-jamba-window' cannot be timed: it needs algorithm ppo or sac"),
    (["speed", "training", "ppo-jamba", "sac-jamba"], "'ppo-jamba' and 'sac-jamba' are of two algorithms"),
    (["speed", "training", "--rounds", "0"], "--rounds"),
    (["speed", "core", "--only", "sacn"], "unknown measurement 'sacn'; did you mean 'scan'?"),
    (["speed", "core", "--stream-steps", "5"], "--stream-steps must be at least 128"),
    (["speed", "cor"], "core"),
    (["speed", "ppo-jamba"], "No such command 'ppo-jamba'"),
    (["list", "agent"], "did you mean 'agents'?"),
    (["trian"], "train"),
]


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "said"), MISTAKES, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_mistake_is_one_line_and_touches_nothing(cli: Cli, trained: Run, arguments: list[str], said: str) -> None:
    trained.folder.rename("holds-a-run")
    Path("bad-task.yaml").write_text("base: Pendulum-v1\nhied: [2]\n")
    Path("bad-type.yaml").write_text("base: Pendulum-v1\nprotocol: {steps: many}\n")
    Path("bad-agent.yaml").write_text("algorithm: ppo\nnetworc: {}\n")
    Path("bad-agent-type.yaml").write_text("algorithm: ppo\nnetwork: {d_model: wide}\n")
    before = everything_in(Path())
    done = cli(*arguments)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1, done.err
    assert done.out == ""
    assert everything_in(Path()) == before


def start_training(tmp_path: Path) -> subprocess.Popen[str]:
    """A training in a process of its own, once it has two checkpoints."""
    command = [sys.executable, "-m", "jamba_rl", *TRAIN, "--steps", "10_000_000".replace("_", ""), "--out", "run"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True, env=os.environ | {"COLUMNS": "80"}
    )
    deadline = time.monotonic() + 120
    while len(Run(tmp_path / "run").checkpoints()) < 2:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def check_whole(run: Run) -> None:
    """Every evaluation is there once, up to a last one that was added at the end."""
    steps = [int(row["step"]) for row in run.evaluations.rows()]
    assert steps == [*range(128, 128 * len(steps), 128), steps[-1]]
    assert len(set(steps)) == len(steps)
    rollouts = [int(float(row[PROGRESS_STEP])) for row in run.progress.rows() if row["time/fps"]]
    assert rollouts == list(range(64, rollouts[-1] + 1, 64))


def resume_and_check(cli: Cli, run: Run) -> None:
    newest = run.checkpoints()[-1]
    total = newest.step + 256
    assert cli("train", "--resume", str(run.folder), "--steps", str(total)).code == 0
    check_whole(run)
    final = run.newest()
    assert final is not None
    assert RecurrentPPO.load(final.model, device="cpu").num_timesteps == final.step == total
    assert not list(run.folder.rglob("*.part"))


def test_ctrl_c_saves_and_resume_goes_on(cli: Cli, tmp_path: Path) -> None:
    process = start_training(tmp_path)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "a checkpoint is written" in out
    assert "jamba-rl train --resume run" in out
    assert "Traceback" not in err
    run = Run.open(tmp_path / "run")
    stopped_at = int(out.split("after ")[1].split(" steps")[0].replace(",", ""))
    assert run.checkpoints()[-1].step == stopped_at
    assert run.result() is None
    resume_and_check(cli, run)


def test_kill_loses_nothing_but_what_came_after_the_checkpoint(cli: Cli, tmp_path: Path) -> None:
    process = start_training(tmp_path)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    resume_and_check(cli, Run.open(tmp_path / "run"))
