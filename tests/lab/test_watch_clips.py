from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from jamba_rl.catalogue import UserError
from jamba_rl.lab.build import load_model
from jamba_rl.lab.config import read_config
from jamba_rl.lab.run import Run
from jamba_rl.lab.train import resume, train
from jamba_rl.lab.watch import clips
from jamba_rl.lab.watch.play import Episode, play
from tests.conftest import TINY_OPTIONS, Outcome, tiny_config
from tests.lab.films import check_lively, clips_of, read_gif
from tests.lab.small import small_config


def weights(run: Run) -> dict[str, torch.Tensor]:
    checkpoint = run.newest()
    assert checkpoint is not None
    return load_model(read_config(run), checkpoint).policy.state_dict()


def same(one: Run, other: Run) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[Episode]:
    """The episodes of all clips, as they are recorded."""
    episodes: list[Episode] = []

    def spy(*arguments) -> Episode:
        episodes.append(play(*arguments))
        return episodes[-1]

    monkeypatch.setattr(clips, "play", spy)
    return episodes


def test_training_goes_on_as_if_nobody_looked(trained: Run, tmp_path: Path, played: list[Episode]) -> None:
    run = train(tiny_config(video_every=128), tmp_path / "watched").run
    assert same(run, trained)
    recorded = clips_of(run)
    assert [step for step, _ in recorded] == [128, 256]
    for _, clip in recorded:
        pictures, durations = read_gif(clip)
        assert pictures.shape[2] == 160
        assert 100 <= len(pictures) <= 200
        check_lively(pictures, strip=pictures.shape[1] - 120)
        assert sum(durations) / 1000 == pytest.approx(200 / 30, abs=0.1)  # the pendulum has 200 steps, 30 to a second
    # an evaluation of one episode played the same
    scores = [float(row["mean_reward"]) for row in run.evaluations.rows()]
    assert [episode.score for episode in played] == scores


def test_agents_with_a_replay_buffer_are_recorded_and_learn_the_same(tmp_path: Path) -> None:
    runs = [train(small_config("sac-jamba", video_every=every), tmp_path / str(every)).run for every in (0, 64)]
    assert same(*runs)
    assert [[step for step, _ in clips_of(run)] for run in runs] == [[], [64, 128]]


def test_a_resumed_run_is_recorded_on_unless_told_otherwise(trained: Run, tmp_path: Path) -> None:
    run = train(tiny_config(steps=128, video_every=64), tmp_path / "watched").run
    time.sleep(1.01 - time.time() % 1)  # TensorBoard reads event files in the order of the second in their names
    resume(run.folder, steps=192)
    assert [step for step, _ in clips_of(run)] == [64, 128, 192]
    time.sleep(1.01 - time.time() % 1)
    resume(run.folder, steps=256, video_every=0)
    assert [step for step, _ in clips_of(run)] == [64, 128, 192]
    assert run.read_config()["video_every"] == 0
    resume(trained.folder, steps=320, video_every=64)
    assert [step for step, _ in clips_of(trained)] == [320]


def test_runs_from_before_clips_open(trained: Run) -> None:
    config = trained.read_config()
    del config["video_every"]
    trained.write_config(config)
    assert read_config(trained).video_every == 0


def test_what_cannot_be_drawn_is_refused_before_there_is_a_run(tmp_path: Path) -> None:
    config = tiny_config("tests.lab.test_watch:Unseen-v0", video_every=64)
    with pytest.raises(UserError, match="it lacks the render mode rgb_array"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_option_reaches_the_run(cli: Callable[..., Outcome]) -> None:
    arguments = ["--env", "pendulum-p", "--steps", "64", "--out", "run", *TINY_OPTIONS]
    assert cli("train", *arguments, "--video-every", "64").code == 0
    assert len(clips_of(Run.open(Path("run")))) == 1
    assert cli("train", "--resume", "run", "--steps", "128", "--video-every", "0").code == 0
    assert Run.open(Path("run")).read_config()["video_every"] == 0
    wrong = cli("train", *arguments, "--video-every", "-1")
    assert (wrong.code, wrong.err) == (2, "jamba-rl: --video-every must be at least 0, was -1\n")
