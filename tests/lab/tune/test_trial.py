"""One trial, with real trainings and a real study."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from jamba_rl.catalogue import UserError
from jamba_rl.lab.run import Run
from jamba_rl.lab.tune import trial as module
from jamba_rl.lab.tune.plan import Plan
from jamba_rl.lab.tune.study import ask, open_study
from jamba_rl.lab.tune.trial import COMPLETE, FAILED, PRUNED, STOPPED, run_trial, trial_folder
from tests.lab.tune.quick import quick_plan


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return quick_plan(tmp_path)


def intermediate(folder: Path, plan: Plan, number: int) -> dict[int, float]:
    return open_study(folder, plan).get_trials()[number].intermediate_values


def test_a_trial_trains_every_seed_and_reports_every_evaluation(tmp_path: Path, plan: Plan) -> None:
    folder = tmp_path / "tune"
    number = ask(open_study(folder, plan), plan)
    outcome = run_trial(folder, number)
    assert outcome.state == COMPLETE
    runs = [Run(trial_folder(folder, number) / str(seed)) for seed in range(2)]
    assert [run.read_config()["seed"] for run in runs] == [0, 1]
    finals = [float(run.evaluations.rows()[-1]["mean_reward"]) for run in runs]
    assert outcome.scores == pytest.approx(finals)  # the last tenth of four evaluations
    result = runs[0].result()
    assert result is not None
    assert outcome.parameters == result["active_parameters"]
    heard = intermediate(folder, plan, number)
    first = [float(row["mean_reward"]) for row in runs[0].evaluations.rows()]
    second = [float(row["mean_reward"]) for row in runs[1].evaluations.rows()]
    later = plan.evaluations
    # the evaluation after the last update ends nothing, so it is not told
    assert heard == pytest.approx(
        {1: first[0], 2: first[1], 3: first[2]} | {later + i: (finals[0] + second[i - 1]) / 2 for i in (1, 2, 3)}
    )
    assert not list(folder.rglob("checkpoints"))


def with_better_ones(folder: Path, plan: Plan) -> None:
    """Have five trials on record that no agent of this env can be as good as."""
    study = open_study(folder, plan)
    values = {"learning_rate": 1e-3, "network.window": "8"}
    kinds = {
        "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "network.window": CategoricalDistribution(["4", "8", "16"]),
    }
    for _ in range(5):
        reported = {i: 1000.0 for i in range(1, 30)}
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                value=1000.0,
                params=values,
                distributions=kinds,
                intermediate_values=reported,
            )
        )


def test_what_does_worse_than_the_others_is_ended_early(tmp_path: Path, plan: Plan) -> None:
    folder = tmp_path / "tune"
    with_better_ones(folder, plan)
    number = ask(open_study(folder, plan), plan)
    outcome = run_trial(folder, number)
    assert (outcome.state, outcome.scores) == (PRUNED, [])
    run = Run(trial_folder(folder, number) / "0")
    assert run.result() is None
    assert len(run.evaluations.rows()) == 2  # nobody is ended after the first
    assert not (trial_folder(folder, number) / "1").exists()


def test_without_a_pruner_nobody_is(tmp_path: Path) -> None:
    plan = quick_plan(tmp_path, pruner="none", seeds=1)
    with_better_ones(tmp_path / "tune", plan)
    number = ask(open_study(tmp_path / "tune", plan), plan)
    assert run_trial(tmp_path / "tune", number).state == COMPLETE


def test_hyperband_ends_trials_too(tmp_path: Path) -> None:
    plan = quick_plan(tmp_path, pruner="hyperband", seeds=1)
    assert isinstance(open_study(tmp_path / "tune", plan).pruner, optuna.pruners.HyperbandPruner)
    number = ask(open_study(tmp_path / "tune", plan), plan)
    assert run_trial(tmp_path / "tune", number).state in (COMPLETE, PRUNED)


def test_values_that_do_not_go_together_fail_alone(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text("search: {all: {batch_size: {choices: [48]}}}")
    settings = ["n_steps=32", "n_epochs=1", "network.d_model=8", "network.num_heads=2"]
    plan = quick_plan(tmp_path, space=tmp_path / "odd.yaml", settings=settings)
    outcome = run_trial(tmp_path / "tune", ask(open_study(tmp_path / "tune", plan), plan))
    assert outcome.state == FAILED
    assert "batch_size 48" in outcome.error


def test_what_nobody_foresaw_fails_alone_and_is_kept(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tune"

    def diverge(*_: object, **__: object) -> None:
        raise ValueError("nothing is finite\nany more")

    monkeypatch.setattr(module.training, "train", diverge)
    number = ask(open_study(folder, plan), plan)
    outcome = run_trial(folder, number)
    assert (outcome.state, outcome.error) == (FAILED, "ValueError: nothing is finite")
    assert "in diverge" in (trial_folder(folder, number) / "error.txt").read_text()


@pytest.mark.parametrize("content", [b"no database" * 1000, b"SQLite format 3\0" + b"?" * 5000])
def test_a_damaged_study_is_one_line(tmp_path: Path, plan: Plan, content: bytes) -> None:
    (tmp_path / "tune" / "study.db").write_bytes(content)
    with pytest.raises(UserError, match=r"study\.db: .*(not a database|malformed)"):
        open_study(tmp_path / "tune", plan)


def test_a_stopped_trial_goes_on_where_it_was(tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tune"
    number = ask(open_study(folder, plan), plan)
    heard = []

    def stopping() -> bool:
        heard.append(1)
        return len(heard) == 2

    assert run_trial(folder, number, stopping).state == STOPPED
    run = Run(trial_folder(folder, number) / "0")
    rows = run.evaluations.rows()
    assert run.result() is None
    resumed = []
    resume = module.training.resume
    monkeypatch.setattr(module.training, "resume", lambda *a, **k: resumed.append(a) or resume(*a, **k))
    assert run_trial(folder, number).state == COMPLETE
    assert resumed == [(run.folder,)]
    assert run.evaluations.rows()[: len(rows)] == rows
    assert len(run.evaluations.rows()) == 4


def test_a_seed_that_is_done_is_not_trained_again(tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tune"
    number = ask(open_study(folder, plan), plan)
    outcome = run_trial(folder, number)
    monkeypatch.setattr(module.training, "train", None)
    assert run_trial(folder, number) == outcome
