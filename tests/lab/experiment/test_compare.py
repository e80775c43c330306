from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.experiment.compare import measure_sizes, notes_on, write
from jamba_rl.lab.experiment.jobs import make_jobs
from jamba_rl.lab.experiment.read import read_experiment
from tests.lab.experiment.grids import write_config


def compared(tmp_path: Path, **over: Any) -> list[str]:
    experiment = read_experiment(str(write_config(tmp_path / "mine.yaml", seeds=1, **over)))
    jobs = make_jobs(experiment, tmp_path)
    return notes_on(jobs, experiment, measure_sizes(jobs))


WIDE = {"name": "wide", "from": "ppo-mlp", "set": {"network": {"ffn_mult": 40.0}}}
HASTY = {"name": "hasty", "from": "ppo-mlp", "set": {"learning_rate": 0.1, "batch_size": 64}}


def test_agents_that_differ_in_their_network_alone_need_no_word(tmp_path: Path) -> None:
    assert compared(tmp_path, agents=["ppo-mlp", "ppo-mlp-framestack"], set={"network": {"d_model": 64}}) == []


def test_agents_of_unlike_size_are_named(tmp_path: Path) -> None:
    (note,) = compared(tmp_path, agents=["ppo-mlp", WIDE])
    assert note.startswith("On pendulum-p, a step of wide meets ")
    assert note.endswith(" of ppo-mlp.")


def test_agents_that_differ_in_more_than_declared_are_named(tmp_path: Path) -> None:
    (note,) = compared(tmp_path, agents=["ppo-mlp", HASTY])
    assert note == "On pendulum-p, hasty and ppo-mlp also differ, undeclared, in batch_size and learning_rate."
    declared, other = compared(tmp_path, agents=["ppo-mlp", HASTY], differ=["batch_size"])
    assert declared == "On pendulum-p, hasty and ppo-mlp differ on purpose in batch_size."
    assert other == "On pendulum-p, hasty and ppo-mlp also differ, undeclared, in learning_rate."


def test_agents_of_two_grids_are_compared_too_with_their_protocols(tmp_path: Path) -> None:
    grids = [{"agents": ["ppo-mlp"]}, {"agents": [HASTY], "protocol": {"steps": 512}}]
    (note,) = compared(tmp_path, agents=None, grids=grids)
    assert note.endswith("in batch_size, learning_rate and protocol.steps.")


def test_agents_of_two_algorithms_are_said_to_be(tmp_path: Path) -> None:
    experiment = read_experiment(str(write_config(tmp_path / "mine.yaml", seeds=1, agents=["ppo-mlp", "sac-mlp"])))
    jobs = make_jobs(experiment, tmp_path)
    (note,) = notes_on(jobs, experiment, {"pendulum-p": {"ppo-mlp": (1, 1), "sac-mlp": (1, 1)}})
    assert "undeclared, in algorithm, " in note
    assert "protocol" not in note  # those of its own part are no difference, and the rest is set for both


@pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")
@pytest.mark.parametrize("name", ["ablation", "smoke", "transfer", "window"])
def test_what_ships_compares_like_with_like_or_declares_it(name: str, tmp_path: Path) -> None:
    experiment = read_experiment(name)
    jobs = make_jobs(experiment, tmp_path)
    notes = notes_on(jobs, experiment, measure_sizes(jobs))
    assert [note for note in notes if " differ on purpose in " not in note] == []
    assert bool(notes) == (name in ("ablation", "transfer"))


def test_what_cannot_be_made_shows_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"agent 'ppo-jamba' on env 'pendulum-p': .*batch_size"):
        compared(tmp_path, set={"batch_size": 24})


def test_sizes_of_runs_that_are_done_are_read(tmp_path: Path) -> None:
    path = write_config(tmp_path / "mine.yaml", agents=["ppo-mlp"], seeds=1)
    (job,) = make_jobs(read_experiment(str(path)), tmp_path)
    job.folder.mkdir(parents=True)
    (job.folder / "config.yaml").touch()
    (job.folder / "result.json").write_text(json.dumps({"step": 1, "parameters": 7, "active_parameters": 5}))
    assert measure_sizes([job]) == {"pendulum-p": {"ppo-mlp": (7, 5)}}


def test_the_report_finds_it_beside_the_runs(tmp_path: Path) -> None:
    experiment = read_experiment(str(write_config(tmp_path / "mine.yaml", differ=["batch_size"])))
    write(experiment, tmp_path, {"pendulum-p": {"ppo-mlp": (7, 5)}}, ["Something."])
    found = json.loads((tmp_path / "comparison.json").read_text())
    assert found == {
        "config": str(tmp_path / "mine.yaml"),
        "differ": ["network", "frames", "batch_size"],
        "parameters": {"pendulum-p": {"ppo-mlp": [7, 5]}},
        "notes": ["Something."],
    }
    assert catalogue.load(tmp_path / "config.yaml")["grids"][0]["seeds"] == [100, 101]
