"""Whole tunings, in their own processes, on the command line: to their ends, and through kills."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from jamba_rl.catalogue import UserError
from jamba_rl.lab.agent import load_agent
from jamba_rl.lab.tune import study as study_module
from jamba_rl.lab.tune.plan import Plan, read_plan
from jamba_rl.lab.tune.search import search
from jamba_rl.lab.tune.study import ask, draw, open_study, reopen
from jamba_rl.tasks import load_task
from tests.conftest import Outcome
from tests.lab.tune.quick import options, quick_plan

Cli = Callable[..., Outcome]


def table(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))


@pytest.mark.slow
def test_tune_then_train_what_it_found(cli: Cli, tmp_path: Path) -> None:
    done = cli("tune", "ppo-jamba", *options(tmp_path, trials=3), "--workers", "2")
    assert done.code == 0, done.err
    folder = tmp_path / "tune"
    rows = table(folder)
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    assert list(rows[0])[:7] == ["trial", "state", "score", "seed_0", "seed_1", "parameters", "error"]
    assert list(rows[0])[7:] == ["learning_rate", "network.window"]
    best = max((row for row in rows if row["state"] == "complete"), key=lambda row: float(row["score"]))
    assert float(best["score"]) == pytest.approx((float(best["seed_0"]) + float(best["seed_1"])) / 2)
    agent = load_agent(str(folder / "best.yaml"))
    assert (agent.name, agent.learning_rate) == ("ppo-jamba-tuned", pytest.approx(float(best["learning_rate"])))
    assert agent.network.window == int(best["network.window"])
    assert (agent.batch_size, agent.network.d_model) == (32, 8)
    assert len([line for line in done.err.splitlines() if line.startswith("ppo-jamba, trial ")]) == 3

    command = next(line for line in done.out.splitlines() if line.startswith("train")).split()[2:]
    assert command[1:3] == ["--env", str(folder / "best-env.yaml")]  # n_steps is set, which belongs to the task
    small = ["--steps", "64", "--n-envs", "2", "--eval-episodes", "1", "--out", "run"]
    assert cli(*command, *small).code == 0

    again = cli("tune", "ppo-jamba", *options(tmp_path, trials=3))  # nothing is left to do
    assert (again.code, again.err) == (0, "")
    assert table(folder) == rows


def try_one(folder: Path, plan: Plan, score: float | None) -> dict[str, object]:
    """Have one trial on record, as if it had been trained, or had failed."""
    study = open_study(folder, plan)
    number = ask(study, plan)
    if score is None:
        reopen(study, plan, number).set_user_attr("error", "too large")
        study.tell(number, state=TrialState.FAIL)
    else:
        study.tell(number, score)
    return dict(study.trials[number].params)


def test_what_belongs_to_the_task_gets_a_file_of_its_own(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "tune"
    values = try_one(folder, quick_plan(tmp_path, trials=1, protocol=True), 1.0)
    done = cli("tune", "--resume", str(folder))
    assert done.code == 0, done.err
    assert "sequence_length" not in (folder / "best.yaml").read_text()
    steps = load_task(str(folder / "best-env.yaml")).protocol.ppo.sequence_length
    assert str(steps) == values["sequence_length"]
    assert f"--env {folder}/best-env.yaml --agent {folder}/best.yaml" in done.out


def test_several_agents_have_the_same_chance(cli: Cli, tmp_path: Path) -> None:
    both = ["ppo-jamba", "ppo-attention"]
    plans = [quick_plan(tmp_path, agent, f"tune/{agent}", trials=1, sampler_seed=3) for agent in both]
    assert plans[0].model_copy(update={"agent": both[1]}) == plans[1]
    tried = [try_one(tmp_path / "tune" / plan.agent, plan, 1.0) for plan in plans]
    assert tried[0] == tried[1]
    done = cli("tune", *both, *options(tmp_path, trials=1), "--sampler-seed", "3")  # these very plans
    assert done.code == 0, done.err
    assert [line.split()[1] for line in done.out.splitlines() if line.startswith("agent")] == both
    for agent in both:
        assert load_agent(str(tmp_path / "tune" / agent / "best.yaml")).name == f"{agent}-tuned"


def test_where_nothing_comes_to_its_end_the_exit_code_says_so(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "tune"
    try_one(folder, quick_plan(tmp_path, trials=1), None)
    done = cli("tune", "--resume", str(folder))
    assert done.code == 1
    assert "score     none: no trial came to its end" in done.out
    assert (table(folder)[0]["state"], table(folder)[0]["error"]) == ("fail", "too large")
    assert not (folder / "best.yaml").exists()


def drawn(plan: Plan, folder: Path, trials: int) -> list[dict[str, object]]:
    """Values of the first trials, opened anew for each as after a kill."""
    return [
        draw(reopen(study, plan, ask(study, plan)), plan) for study in (open_study(folder, plan) for _ in range(trials))
    ]


def test_agents_begin_with_the_same_values_and_kills_change_none(tmp_path: Path) -> None:
    agents = ("ppo-jamba", "ppo-attention")
    first, second = (drawn(quick_plan(tmp_path, agent, agent), tmp_path / agent, 3) for agent in agents)
    assert first == second
    assert len({tuple(values.items()) for values in first}) == 3
    assert drawn(quick_plan(tmp_path, out="other", sampler_seed=1), tmp_path / "other", 3) != first


def start(tmp_path: Path, until: Callable[[Path], bool]) -> subprocess.Popen[str]:
    """A tuning in a process of its own, when it has come so far."""
    long = options(tmp_path, trials=2, seeds=1, steps=1024)
    command = [sys.executable, "-m", "jamba_rl", "tune", "ppo-jamba", *long]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not until(tmp_path / "tune"):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def in_its_second_trial(folder: Path) -> bool:
    return bool(list(folder.glob("runs/001/0/checkpoints/*")))


def workers_of(folder: Path) -> list[int]:
    """Processes that have something of a folder open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = [os.readlink(link) for link in (process / "fd").iterdir()]
        except OSError:
            continue
        if any(link.startswith(str(folder)) for link in links):
            found.append(int(process.name))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_tuning_that_was_ended_goes_on(cli: Cli, tmp_path: Path, number: int) -> None:
    folder = tmp_path / "tune"
    process = start(tmp_path, in_its_second_trial)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130), err
    assert "Traceback" not in err
    if number == signal.SIGINT:
        assert "stopped   after 1 of 2 trials" in out
        assert f"continue  jamba-rl tune --resume {folder}" in out
    deadline = time.monotonic() + 30
    while workers_of(folder):  # nobody outlives who started it
        assert time.monotonic() < deadline
        time.sleep(0.1)
    first = table(folder)[0]
    plan = read_plan(folder)
    values = draw(reopen(open_study(folder, plan), plan, 1), plan)
    done = cli("tune", "--resume", str(folder))
    assert done.code == 0, done.err
    rows = table(folder)
    assert len(rows) == 2
    assert rows[0] == first
    assert float(rows[1]["learning_rate"]) == pytest.approx(values["learning_rate"])
    assert {row["state"] for row in rows} <= {"complete", "pruned"}


def test_two_cannot_tune_in_one_folder(tmp_path: Path) -> None:
    process = start(tmp_path, lambda folder: (folder / "study.db").exists())
    try:
        with pytest.raises(UserError, match="another tuning is at work in"):
            search(tmp_path / "tune", read_plan(tmp_path / "tune"))
    finally:
        process.kill()
        process.communicate()


MISTAKES = [
    ([], "AGENT is missing"),
    (["ppo-jamba"], "--env is missing"),
    (["ppo-jmba", "--env", "pendulum-p"], "did you mean 'ppo-jamba'?"),
    (["ppo-jamba", "--env", "pendulm-p"], "did you mean 'pendulum-p'?"),
    (["ppo-jamba", "--env", "pendulum-p", "--pruner", "meadian"], "unknown pruner 'meadian'; did you mean 'median'?"),
    (["ppo-jamba", "--env", "pendulum-p", "--trials", "0"], "--trials must be at least 1, was 0"),
    (["ppo-jamba", "--env", "pendulum-p", "--seeds", "200"], "--seeds must be at most 100"),
    (["ppo-jamba", "--env", "pendulum-p", "--workers", "0"], "--workers must be at least 1, was 0"),
    (["ppo-jamba", "--env", "pendulum-p", "--set", "lerning_rate=1"], "did you mean 'learning_rate'?"),
    (["ppo-jamba", "--env", "pendulum-p", "--space", "nowhere.yaml"], "nowhere.yaml: No such file"),
    (["--resume", "nowhere"], "no tuning at nowhere"),
    (["ppo-jamba", "--resume", "nowhere"], "leave out AGENT"),
    (["--resume", "nowhere", "--sampler-seed", "0", "--steps", "5"], "leave out --steps, --sampler-seed"),
    (["ppo-jamba", "ppo-lstm", "ppo-jamba", "--env", "pendulum-p"], "agent 'ppo-jamba' is there 2 times"),
    (["ppo-jamba", "ppo-lsmt", "--env", "pendulum-p"], "did you mean 'ppo-lstm'?"),
    (["ppo-jamba", "sac-jamba", "--env", "pendulum-p", "--set", "tau=0.01"], "unknown key 'tau'"),
]


@pytest.mark.parametrize(
    ("arguments", "said"), MISTAKES, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_mistake_is_one_line_and_touches_nothing(cli: Cli, arguments: list[str], said: str) -> None:
    done = cli("tune", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1, done.err
    assert not list(Path().iterdir())


def test_a_missing_package_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(study_module, "import_module", missing)
    done = cli("tune", "ppo-jamba", "--env", "pendulum-p")
    assert done.code == 2
    assert done.err == "jamba-rl: jamba-rl tune needs Optuna: pip install 'jamba-rl[tune]'\n"
    assert not list(Path().iterdir())
