from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jamba_rl.lab.experiment.wire import Changes, apply
from jamba_rl.lab.run import Checkpoint, Run


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "there"


def save(run: Run, step: int) -> None:
    def fill(checkpoint: Checkpoint) -> None:
        checkpoint.model.write_text(str(step))
        checkpoint.replay.write_text("much")

    run.add_checkpoint(step, fill)


def test_a_folder_and_what_becomes_of_it_arrive(trained: Run, there: Path) -> None:
    changes = Changes(trained.folder)
    apply(changes.collect(), there)
    assert content(there) == content(trained.folder)
    assert changes.collect().files == {}
    trained.evaluations.append({"step": 384})
    for step in (384, 512, 640, 768):  # the oldest make room, and older replays
        save(trained, step)
        change = changes.collect()
        assert f"checkpoints/{step}/model.zip" in change.files
        assert "model.zip" not in change.files
        apply(change, there)
        assert content(there) == content(trained.folder)
    assert sorted(path.name for path in (there / "checkpoints").iterdir()) == ["512", "640", "768"]


def test_what_is_unfinished_is_not_sent(trained: Run, there: Path) -> None:
    apply(Changes(trained.folder).collect(), there)
    before = content(there)
    (trained.folder / "config.yaml.part").touch()
    (trained.folder / "checkpoints/300.part").mkdir()
    (trained.folder / "checkpoints/300.part/model.zip").touch()
    apply(Changes(trained.folder).collect(), there)
    assert content(there) == before


def test_rows_are_read_after_the_checkpoint_that_needs_them(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is written before its checkpoint; one that is read must not lack it."""
    changes = Changes(trained.folder)
    plain = Path.read_bytes

    def slow(path: Path) -> bytes:
        if path.name == "model.zip" and path.parent.name == "256":
            trained.evaluations.append({"step": 384})
            save(trained, 384)
        return plain(path)

    monkeypatch.setattr(Path, "read_bytes", slow)
    change = changes.collect()
    assert b"384" in change.files["evaluations.csv"]


@pytest.mark.parametrize("after", range(12))
def test_wherever_the_wire_is_cut_there_is_a_run_to_go_on_with(
    trained: Run, there: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    left = after
    plain = Path.write_bytes

    def cut(path: Path, data: bytes) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise SystemExit
        return plain(path, data)

    monkeypatch.setattr(Path, "write_bytes", cut)
    try:
        apply(Changes(trained.folder).collect(), there)
    except SystemExit:
        assert not (there / "result.json").exists()
    monkeypatch.undo()
    for checkpoint in Run(there).checkpoints():
        assert {path.name for path in checkpoint.folder.iterdir()} == {"model.zip", "normalizer.pkl"}
        assert str(checkpoint.step) in (there / "evaluations.csv").read_text()


def test_a_folder_that_vanishes_is_no_error(trained: Run) -> None:
    changes = Changes(trained.folder)
    changes.collect()
    shutil.rmtree(trained.folder)
    assert "result.json" in changes.collect().gone
