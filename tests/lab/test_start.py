from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from jamba_rl.catalogue import UserError
from jamba_rl.lab.build import load_model
from jamba_rl.lab.config import RunConfig, read_config
from jamba_rl.lab.run import Run
from jamba_rl.lab.start import Start
from jamba_rl.lab.train import resume, train
from tests.conftest import tiny_config
from tests.lab.small import small_config

START = Start(env="pendulum", agent="ppo-jamba")


def starting(**kwargs) -> RunConfig:
    return tiny_config(**{"steps": 64, "every": 64, **kwargs}).model_copy(update={"start": START})


def unlearning(**kwargs) -> RunConfig:
    """Its updates change nothing, so that its model is what it began with."""
    return starting(settings=["learning_rate=1e-30"], **kwargs)


def parameters(run: Run) -> dict[str, torch.Tensor]:
    checkpoint = run.newest()
    assert checkpoint is not None
    return dict(load_model(read_config(run), checkpoint).policy.named_parameters())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiment") / "runs"
    train(tiny_config(env="pendulum", steps=128), folder / "pendulum/ppo-jamba/0")
    return folder


def test_a_run_begins_with_the_backbone_of_another_and_all_else_new(runs: Path) -> None:
    begun = train(unlearning(), runs / "pendulum-p/begun/0").run
    fresh = train(unlearning().model_copy(update={"start": None}), runs / "pendulum-p/fresh/0").run
    source, own, new = (parameters(run) for run in (Run(runs / "pendulum/ppo-jamba/0"), begun, fresh))
    backbone = [name for name in own if ".backbone." in name]
    assert backbone
    for name in own:
        assert torch.equal(own[name], (source if name in backbone else new)[name]), name
    assert any(not torch.equal(own[name], new[name]) for name in backbone)


def test_a_run_that_was_cut_off_before_its_first_checkpoint_begins_so_again(runs: Path) -> None:
    folder = runs / "pendulum-p/cut/0"
    whole = train(starting(), runs / "pendulum-p/whole/0").run
    Run.create(folder, starting().model_dump(mode="json"))
    assert resume(folder).run.evaluations.rows() == whole.evaluations.rows()
    shutil.move(runs / "pendulum", runs / "away")  # with a checkpoint it needs no start
    assert resume(folder, steps=128).steps == 128
    shutil.move(runs / "away", runs / "pendulum")


def test_all_memories_of_sac_are_taken(tmp_path: Path) -> None:
    train(small_config("sac-jamba", steps=64, env="pendulum"), tmp_path / "pendulum/sac-jamba/0")
    start = Start(env="pendulum", agent="sac-jamba")
    config = small_config("sac-jamba", steps=64, settings=["learning_rate=1e-30", "tau=1e-12"])
    run = train(config.model_copy(update={"start": start}), tmp_path / "pendulum-p/mine/0").run
    source, own = parameters(Run(tmp_path / "pendulum/sac-jamba/0")), parameters(run)
    backbones = [name for name in own if ".backbone." in name]
    assert {name.split(".")[0] for name in backbones} == {"actor", "critic", "critic_target"}
    assert all(torch.equal(own[name], source[name]) for name in backbones)


MISTAKES = [
    (
        starting().model_copy(update={"start": Start(env="hopper", agent="ppo-jamba")}),
        "no run at .*/hopper/ppo-jamba/0",
    ),
    (starting(settings=["network.pattern=M"]), "the backbone of .*/pendulum/ppo-jamba/0 does not fit"),
    (starting(settings=["network.d_model=16"]), "the backbone of .* does not fit"),
    (starting(settings=["shared_encoder=false"]), "has backbones .*give an agent of the same kind"),
]


@pytest.mark.parametrize(("config", "said"), MISTAKES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_backbone_that_cannot_be_taken_is_one_line(runs: Path, config: RunConfig, said: str) -> None:
    folder = runs / "pendulum-p/wrong/0"
    with pytest.raises(UserError, match=f"^[^\n]*{said}[^\n]*$"):
        train(config, folder)
    assert not folder.exists()
