from __future__ import annotations

from pathlib import Path

import pytest

from jamba_rl.catalogue import UserError
from jamba_rl.lab.config import RunConfig
from jamba_rl.lab.run import Run
from jamba_rl.lab.stop import Stop
from jamba_rl.lab.train import resume, train
from tests.conftest import tiny_config
from tests.lab.test_train import same, weights


def stopping(at: float, times: int, **kwargs) -> RunConfig:
    return tiny_config(steps=384, every=64, **kwargs).model_copy(update={"stop": Stop(at=at, times=times)})


def test_a_run_ends_when_it_is_good_enough(tmp_path: Path) -> None:
    summary = train(stopping(-1e9, 3), tmp_path / "early")
    result = summary.run.result()
    assert result is not None
    assert summary.steps == result["step"] == 192
    assert [row["step"] for row in summary.run.evaluations.rows()] == ["64", "128", "192"]
    assert result["mean_reward"] == float(summary.run.evaluations.rows()[-1]["mean_reward"])
    # what it is then is what an evaluation of a run that goes on saw
    plain = train(tiny_config(steps=384, every=64), tmp_path / "plain").run
    assert plain.evaluations.rows()[:3] == summary.run.evaluations.rows()


def test_a_run_that_is_never_good_enough_goes_to_its_end(tmp_path: Path) -> None:
    run = train(stopping(1e9, 1), tmp_path / "run").run
    plain = train(tiny_config(steps=384, every=64), tmp_path / "plain").run
    assert same(weights(run), weights(plain))


def test_a_resumed_run_goes_on_counting(tmp_path: Path) -> None:
    config = stopping(-1e9, 3)
    run = train(config.model_copy(update={"stop": Stop(at=1e9)}), tmp_path / "run").run
    (run.folder / "result.json").unlink()
    for checkpoint in run.checkpoints()[1:]:
        for path in checkpoint.folder.iterdir():
            path.unlink()
        checkpoint.folder.rmdir()
    step = run.checkpoints()[0].step
    run.write_config(config.model_dump(mode="json"))
    assert resume(run.folder).steps == step  # it had been good enough before it was cut off
    with pytest.raises(UserError, match="already trained"):
        resume(run.folder)
    assert resume(run.folder, steps=step + 128).steps == step + 128  # who names a total means it
    assert Run.open(run.folder).read_config()["stop"] is None
