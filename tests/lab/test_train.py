from __future__ import annotations

import json
import os
import pickle
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jamba_rl.catalogue import UserError
from jamba_rl.lab import callbacks
from jamba_rl.lab.build import make_model
from jamba_rl.lab.callbacks import Evaluations
from jamba_rl.lab.run import PROGRESS_STEP, Checkpoint, Run
from jamba_rl.lab.train import resume, train
from jamba_rl.rl import RecurrentPPO
from jamba_rl.tasks import make_env
from tests.conftest import tiny_config


def weights(run: Run) -> dict[str, torch.Tensor]:
    checkpoint = run.newest()
    assert checkpoint is not None
    return RecurrentPPO.load(checkpoint.model, device="cpu").policy.state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


def curve(run: Run, tag: str) -> list[int]:
    """Steps of a TensorBoard curve."""
    events = EventAccumulator(str(run.tensorboard))
    events.Reload()
    return [event.step for event in events.Scalars(tag)]


def wait_for_a_new_second() -> None:
    """TensorBoard reads event files in the order of the second in their names."""
    time.sleep(1.01 - time.time() % 1)


def column(run: Run, name: str) -> list[float]:
    return [float(row[name]) for row in run.progress.rows() if row.get(name)]


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch):
    """Have a signal arrive when training has come to a step."""

    def stop(step: int) -> None:
        def signalled(self: Evaluations) -> bool:
            if self.num_timesteps == step:
                os.kill(os.getpid(), signal.SIGINT)
            return True

        monkeypatch.setattr(Evaluations, "_on_step", signalled)

    return stop


def test_a_run_folder_holds_all_of_it(trained: Run) -> None:
    assert {path.name for path in trained.folder.iterdir()} == {
        "config.yaml",
        "provenance.json",
        "evaluations.csv",
        "progress.csv",
        "tb",
        "checkpoints",
        "model.zip",
        "normalizer.pkl",
        "result.json",
    }
    assert trained.evaluations.path.read_text().startswith("step,seed,mean_reward,std_reward,mean_length,episodes\n")
    assert [row["step"] for row in trained.evaluations.rows()] == ["128", "256"]
    assert {"eval/mean_reward", "eval/mean_ep_length", "train/loss", "train/approx_kl", "time/fps"} <= set(
        trained.progress.columns
    )
    assert curve(trained, "eval/mean_reward") == [128, 256]
    (start,) = json.loads((trained.folder / "provenance.json").read_text())
    assert start["versions"]["torch"] == torch.__version__
    assert {"command", "git", "platform", "cpu", "threads", "started"} <= set(start)
    result = trained.result()
    assert result is not None
    assert result["step"] == 256
    assert result["mean_reward"] == float(trained.evaluations.rows()[-1]["mean_reward"])
    assert result["parameters"] == sum(
        p.numel() for p in make_model(tiny_config(), make_env("pendulum-p", 2)).policy.parameters()
    )


def test_the_same_seed_gives_the_same_run(trained: Run, tmp_path: Path) -> None:
    again, other = train(tiny_config(), tmp_path / "again").run, train(tiny_config(seed=1), tmp_path / "other").run
    assert same(weights(again), weights(trained))
    assert again.evaluations.path.read_text() == trained.evaluations.path.read_text()
    assert not same(weights(other), weights(trained))


def test_evaluation_does_not_disturb_training(trained: Run, tmp_path: Path) -> None:
    seldom = train(tiny_config(every=10_000), tmp_path / "seldom").run
    often = train(tiny_config(every=10), tmp_path / "often").run
    assert [len(run.evaluations.rows()) for run in (seldom, often)] == [1, 4]  # a rollout is 64 steps
    assert same(weights(seldom), weights(trained))
    assert same(weights(often), weights(trained))


def test_evaluation_plays_other_episodes_than_training_and_each_time_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    plain = callbacks.evaluate

    def spy(*arguments):
        seeds.append(arguments[-1])
        return plain(*arguments)

    monkeypatch.setattr(callbacks, "evaluate", spy)
    for i, (seed, agent) in enumerate([(0, "ppo-jamba"), (1, "ppo-jamba"), (0, "ppo-lstm")]):
        train(tiny_config(seed=seed, agent=agent), tmp_path / str(i))
    first, other_seed, other_agent = seeds[:2], seeds[2:4], seeds[4:]
    assert first == other_agent  # compared on the same episodes
    assert len({*first, *other_seed}) == 4
    assert min(seeds) > 10_000


def test_discrete_observations_and_actions_are_learned_from(tmp_path: Path) -> None:
    run = train(tiny_config("FrozenLake-v1", steps=128, every=10_000), tmp_path / "run").run
    assert run.result() is not None


def test_resume_goes_on_where_it_was(trained: Run) -> None:
    before = trained.evaluations.rows()
    checkpoint = trained.newest()
    assert checkpoint is not None
    count = pickle.loads(checkpoint.normalizer.read_bytes()).obs_rms.count
    wait_for_a_new_second()
    resume(trained.folder, steps=512)
    rows = trained.evaluations.rows()
    assert rows[:2] == before
    assert [row["step"] for row in rows] == ["128", "256", "384", "512"]
    assert column(trained, "time/total_timesteps") == sorted(column(trained, "time/total_timesteps"))
    assert curve(trained, "eval/mean_reward") == [128, 256, 384, 512]
    assert curve(trained, "train/loss") == sorted(set(curve(trained, "train/loss")))
    newest = trained.newest()
    assert newest is not None
    assert newest.step == 512
    # the first 256 steps and those that followed; 2 of either are the resets
    assert pickle.loads(newest.normalizer.read_bytes()).obs_rms.count == pytest.approx(count + 256 + 2)
    model = RecurrentPPO.load(newest.model, device="cpu")
    assert (model.num_timesteps, model._n_updates) == (512, 8)
    assert len(json.loads((trained.folder / "provenance.json").read_text())) == 2
    assert Run.open(trained.folder).read_config()["task"]["protocol"]["steps"] == 512


def test_a_resumed_run_does_not_repeat_its_first_episodes(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Spy(BaseCallback):
        def _on_rollout_start(self) -> None:
            seen.append(self.training_env.get_original_obs().copy())

        def _on_step(self) -> bool:
            return True

    monkeypatch.setattr("jamba_rl.lab.train.ProgressLines", lambda *_: with_close(Spy()))
    resume(trained.folder, steps=320)
    assert not np.isclose(seen[0], make_env("pendulum-p", 2, seed=0).reset()).any()


def with_close(callback: BaseCallback) -> BaseCallback:
    callback.close = lambda: None
    return callback


def test_schedules_end_with_the_total_also_when_resumed(tmp_path: Path) -> None:
    config = tiny_config(steps=256, settings=["learning_rate_schedule=linear", "learning_rate=0.1"])
    run = train(config, tmp_path / "run").run
    # what is left of 256 steps before each update; SB3 writes an update down after the next rollout, so not the last
    assert column(run, "train/learning_rate") == pytest.approx([0.1 * left / 256 for left in (192, 128, 64)])
    resume(run.folder, steps=512)
    assert column(run, "train/learning_rate")[3:] == pytest.approx([0.1 * left / 512 for left in (192, 128, 64)])


def test_a_signal_saves_what_was_learned_and_resume_goes_on(tmp_path: Path, stop_at, monkeypatch) -> None:
    stop_at(100)  # in mid-rollout: 64 steps make a rollout
    summary = train(tiny_config(), tmp_path / "run")
    run = summary.run
    assert summary.scores is None
    assert summary.steps == 64
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [64]
    assert RecurrentPPO.load(run.checkpoints()[0].model, device="cpu").num_timesteps == 64
    assert run.result() is None
    monkeypatch.undo()
    wait_for_a_new_second()
    finished = resume(run.folder)
    assert finished.steps == 256
    assert finished.scores is not None
    assert [row["step"] for row in run.evaluations.rows()] == ["128", "256"]
    assert curve(run, "eval/mean_reward") == [128, 256]


def test_rows_past_the_newest_checkpoint_are_written_anew(tmp_path: Path, monkeypatch) -> None:
    plain = Run.add_checkpoint

    def killed(run: Run, step: int, write) -> Checkpoint:
        if step == 192:
            raise SystemExit
        return plain(run, step, write)

    monkeypatch.setattr(Run, "add_checkpoint", killed)
    config = tiny_config(every=64)
    with pytest.raises(SystemExit):
        train(config, tmp_path / "run")
    monkeypatch.undo()
    run = Run.open(tmp_path / "run")
    assert [row["step"] for row in run.evaluations.rows()] == ["64", "128", "192"]
    wait_for_a_new_second()
    resume(run.folder)
    assert [row["step"] for row in run.evaluations.rows()] == ["64", "128", "192", "256"]
    assert curve(run, "eval/mean_reward") == [64, 128, 192, 256]
    assert [row[PROGRESS_STEP] for row in run.progress.rows() if row["eval/mean_reward"]] == ["64", "128", "192", "256"]
    assert [row[PROGRESS_STEP] for row in run.progress.rows() if row["time/fps"]] == ["64", "128", "192", "256"]


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_anew(trained: Run, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "killed", trained.read_config())
    run.evaluations.append({"step": 100, "seed": 0})
    summary = resume(run.folder)
    assert [row["step"] for row in run.evaluations.rows()] == ["128", "256"]
    assert same(weights(summary.run), weights(trained))


def test_a_run_that_was_killed_between_last_checkpoint_and_end_is_finished(trained: Run) -> None:
    for name in ("model.zip", "normalizer.pkl", "result.json"):
        (trained.folder / name).unlink()
    before = trained.evaluations.path.read_text()
    resume(trained.folder)
    assert trained.evaluations.path.read_text() == before
    result = trained.result()
    assert result is not None
    assert result["step"] == 256


def test_a_complete_run_says_so(trained: Run) -> None:
    before = sorted(trained.folder.rglob("*"))
    for steps in (None, 100, 256):
        with pytest.raises(UserError, match="already trained for 256 steps"):
            resume(trained.folder, steps=steps)
    assert sorted(trained.folder.rglob("*")) == before


def test_resume_refuses_another_env(trained: Run) -> None:
    with pytest.raises(UserError, match="is a run of env 'pendulum-p', not of 'pendulum'"):
        resume(trained.folder, steps=512, env="pendulum")
    resume(trained.folder, steps=320, env="pendulum-p")


def test_the_normaliser_is_saved_with_each_model(trained: Run) -> None:
    for checkpoint in trained.checkpoints():
        normalizer = VecNormalize.load(str(checkpoint.normalizer), make_env("pendulum-p", 2))
        assert normalizer.obs_rms.count == pytest.approx(checkpoint.step + 2, abs=1.0)
