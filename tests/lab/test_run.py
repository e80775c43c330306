from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from jamba_rl.catalogue import UserError
from jamba_rl.lab.build import load_model
from jamba_rl.lab.evaluate import evaluate_run
from jamba_rl.lab.run import KEPT_CHECKPOINTS, Checkpoint, Run, fresh_folder, loading
from jamba_rl.lab.train import resume, train
from jamba_rl.tasks import make_env
from tests.lab.small import small_config


def fill(checkpoint: Checkpoint) -> None:
    checkpoint.model.write_text(f"model {checkpoint.step}")
    checkpoint.normalizer.write_text(f"normalizer {checkpoint.step}")


def test_default_folders_are_always_fresh(tmp_path: Path) -> None:
    made = [fresh_folder("my/Env-v0", "ppo-jamba", seed, tmp_path) for seed in (0, 0, 1)]
    assert [str(folder.relative_to(tmp_path)) for folder in made] == [
        "my-Env-v0/ppo-jamba/0-1",
        "my-Env-v0/ppo-jamba/0-2",
        "my-Env-v0/ppo-jamba/1-1",
    ]


def test_create_takes_new_and_empty_folders_alone(tmp_path: Path) -> None:
    empty, full, file = tmp_path / "empty", tmp_path / "full", tmp_path / "file"
    empty.mkdir()
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    file.write_text("mine")
    assert Run.create(empty, {"seed": 1}).read_config() == {"seed": 1}
    assert Run.create(tmp_path / "a" / "b", {"seed": 2}).read_config() == {"seed": 2}
    with pytest.raises(UserError, match="already holds a run"):
        Run.create(empty, {})
    for taken in (full, file):
        with pytest.raises(UserError, match="no empty folder"):
            Run.create(taken, {})
    with pytest.raises(UserError, match="cannot make"):
        Run.create(file / "below", {})
    assert Run.open(empty).read_config() == {"seed": 1}


def test_open_needs_a_run(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UserError, match="no run at"):
            Run.open(folder)


def test_the_newest_checkpoints_are_kept_in_order_of_their_steps(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.newest() is None
    for step in (0, 500, 1000, 1500, 20000):
        run.add_checkpoint(step, fill)
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [1000, 1500, 20000]
    assert len(run.checkpoints()) == KEPT_CHECKPOINTS
    newest = run.newest()
    assert newest is not None
    assert newest.model.read_text() == "model 20000"


def test_only_the_newest_checkpoint_keeps_what_was_experienced(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for step in (500, 1000, 1500):
        run.add_checkpoint(step, lambda checkpoint: (fill(checkpoint), checkpoint.replay.write_text("all of it")))
        assert [checkpoint.step for checkpoint in run.checkpoints() if checkpoint.replay.exists()] == [step]
    assert [checkpoint.model.exists() for checkpoint in run.checkpoints()] == [True] * 3
    run.add_checkpoint(1500, fill)  # it is there already
    assert run.checkpoints()[-1].replay.read_text() == "all of it"


def test_a_checkpoint_that_was_not_finished_is_none(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.add_checkpoint(1, fill)

    def die(checkpoint: Checkpoint) -> None:
        checkpoint.model.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.add_checkpoint(2, die)
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [1]
    run.rewind(1)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["1"]
    run.add_checkpoint(2, fill)
    assert run.checkpoints()[-1].model.read_text() == "model 2"


def test_rewind_drops_rows_past_the_step_in_both_tables(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for step in (100, 200, 300):
        run.evaluations.append({"step": step, "mean_reward": 1.0})
        run.progress.append({"time/total_timesteps": step, "x": 1})
    run.rewind(200)
    assert [row["step"] for row in run.evaluations.rows()] == ["100", "200"]
    assert [row["time/total_timesteps"] for row in run.progress.rows()] == ["100", "200"]


def test_the_final_model_is_a_copy_and_stays_when_checkpoints_go(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.result() is None
    checkpoint = run.add_checkpoint(7, fill)
    run.finish(checkpoint, {"step": 7, "mean_reward": 1.5})
    assert run.result() == {"step": 7, "mean_reward": 1.5}
    for path in checkpoint.folder.iterdir():
        path.unlink()
    checkpoint.folder.rmdir()
    newest = run.newest()
    assert newest is not None
    assert (newest.step, newest.model.read_text(), newest.normalizer.read_text()) == (7, "model 7", "normalizer 7")


def test_every_start_is_noted(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.add_start({"command": "first"})
    run.add_start({"command": "second"})
    assert [path.name for path in tmp_path.iterdir()] == ["provenance.json"]
    assert '"first"' in (tmp_path / "provenance.json").read_text()
    assert '"second"' in (tmp_path / "provenance.json").read_text()


DAMAGE = {  # the file, what happens to it, what is said
    "cut model": ("checkpoints/256/model.zip", lambda data: data[:100], "wasn't a zip-file; remove .*/256 to"),
    "half a model": (
        "checkpoints/256/model.zip",
        lambda data: data[: len(data) // 2],
        "cannot be read: .*; remove .*/256",
    ),
    "no model": ("checkpoints/256/model.zip", None, "cannot be read: No such file or directory; remove .*/256 to"),
    "junk statistics": (
        "checkpoints/256/normalizer.pkl",
        b"junk",
        "normalizer.pkl cannot be read: .*; remove .*/256 to",
    ),
    "half a result": ("result.json", b"{", "result.json is no JSON"),
    "result without step": ("result.json", b"{}", "result.json: key 'step' is missing"),
    "no result": ("result.json", b"null", "result.json: needs keys and values"),
    "evaluations without step": ("evaluations.csv", b"a,b\n1,2\n", "evaluations.csv has no column 'step'"),
    "foreign progress": ("progress.csv", b"a,b\n1,2\n", "progress.csv has no column 'time/total_timesteps'"),
    "progress without a number": ("progress.csv", b"time/total_timesteps\nmany\n", "must be a number, was 'many'"),
    "junk provenance": ("provenance.json", b"junk", "provenance.json is no JSON"),
    "foreign provenance": ("provenance.json", b"{}", "provenance.json: needs a list"),
}
EVALUATE_READS = (
    "cut model",
    "half a model",
    "no model",
    "junk statistics",
    "half a result",
    "result without step",
    "no result",
)


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def damage(run: Run, name: str) -> str:
    file, change, said = DAMAGE[name]
    path = run.folder / file
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()) if callable(change) else change)
    return said


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_run_is_not_resumed_and_stays_as_it_is(trained: Run, name: str) -> None:
    said = damage(trained, name)
    before = everything_in(trained.folder)
    with pytest.raises(UserError, match=said):
        resume(trained.folder, steps=512)
    assert everything_in(trained.folder) == before


@pytest.mark.parametrize("name", EVALUATE_READS)
def test_a_damaged_run_is_not_evaluated(trained: Run, name: str) -> None:
    said = damage(trained, name)
    before = everything_in(trained.folder)
    with pytest.raises(UserError, match=said):
        evaluate_run(trained.folder, episodes=1)
    assert everything_in(trained.folder) == before


def test_a_run_without_any_model_says_so(trained: Run) -> None:
    shutil.rmtree(trained.folder / "checkpoints")
    (trained.folder / "model.zip").unlink()
    for use in (lambda: resume(trained.folder, steps=512), lambda: evaluate_run(trained.folder, episodes=1)):
        with pytest.raises(UserError, match=r"run/model\.zip cannot be read: No such file .*; train the run anew$"):
            use()


def test_without_its_damaged_checkpoint_a_run_goes_on_from_an_older_one(trained: Run) -> None:
    damage(trained, "cut model")
    shutil.rmtree(trained.folder / "checkpoints/256")
    assert resume(trained.folder, steps=320).steps == 320
    assert [row["step"] for row in trained.evaluations.rows()] == ["128", "256", "320"]


def test_a_damaged_replay_is_named(tmp_path: Path) -> None:
    config = small_config("sac-jamba-window", steps=32, every=32)
    run = train(config, tmp_path / "run").run
    checkpoint = run.checkpoints()[-1]
    whole = gzip.decompress(checkpoint.replay.read_bytes())
    for damaged in (b"junk", checkpoint.replay.read_bytes()[:-500], gzip.compress(whole[:-500])):
        checkpoint.replay.write_bytes(damaged)
        with pytest.raises(UserError, match=r"replay\.pkl\.gz cannot be read: .*; remove .*/32 to"):
            load_model(config, checkpoint, make_env(config.task, 1))


def test_what_was_wrong_is_said_in_one_short_line(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised, loading(tmp_path / "model.zip"):
        raise RuntimeError("first\n" + "and more " * 100)
    assert len(str(raised.value)) < 250 + len(str(tmp_path))
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match="cannot be read: MemoryError;"), loading(tmp_path / "model.zip"):
        raise MemoryError
