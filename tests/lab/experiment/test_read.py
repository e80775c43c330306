from __future__ import annotations

from pathlib import Path

import pytest

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.experiment.read import read_experiment
from tests.lab.experiment.grids import write_config


def test_a_config_alone_is_one_grid(tmp_path: Path) -> None:
    experiment = read_experiment(str(write_config(tmp_path / "mine.yaml", seeds=3, description="words")))
    ((_, grid),) = experiment.grids
    assert (experiment.name, experiment.description) == ("mine", "words")
    assert [agent.origin for agent in grid.agents] == ["ppo-jamba", "ppo-mlp"]
    assert grid.seeds == (100, 101, 102)
    assert experiment.differ == ("network", "frames")


def test_what_a_grid_does_not_say_it_has_from_the_top(tmp_path: Path) -> None:
    grids = [{"agents": ["ppo-lstm"], "protocol": {"steps": 512}}, {"seeds": [7], "differ": ["batch_size"]}]
    experiment = read_experiment(str(write_config(tmp_path / "mine.yaml", grids=grids)))
    (_, first), (_, second) = experiment.grids
    assert [agent.origin for agent in first.agents] == ["ppo-lstm"]
    assert first.protocol["steps"] == 512
    assert first.protocol["evaluation"] == {"every": 128, "episodes": 1}
    assert (first.seeds, second.seeds) == ((100, 101), (7,))
    assert second.protocol["steps"] == 256
    assert experiment.differ == ("network", "frames", "batch_size")


def test_what_is_written_down_can_be_read_again(tmp_path: Path) -> None:
    variant = {"name": "mine", "from": "ppo-jamba", "set": {"network": {"pattern": "MMA"}}}
    stop = {"metric": "mean_reward", "at": -1.0, "times": 2}
    path = write_config(tmp_path / "a.yaml", agents=["ppo-mlp", variant], stop=stop, differ=["frames"])
    first = read_experiment(str(path))
    catalogue.dump(first.as_dict(), tmp_path / "b.yaml")
    again = read_experiment(str(tmp_path / "b.yaml"))
    assert [grid for _, grid in again.grids] == [grid for _, grid in first.grids]


MISTAKES = [
    ({"agnets": []}, "unknown key 'agnets'; did you mean 'agents'?"),
    ({"agents": None}, "key 'agents' is missing"),
    ({"agents": "ppo-jamba"}, 'agents: must be a list, was "ppo-jamba"'),
    ({"agents": []}, "agents: Tuple should have at least 1 item"),
    ({"agents": [5]}, "agents.0: must be keys and values, was 5"),
    ({"agents": [{"form": "ppo-jamba"}]}, "unknown key 'agents.0.form'; did you mean 'agents.0.from'?"),
    (
        {"agents": [{"from": "ppo-jamba", "set": {"frames": 2}}]},
        "'ppo-jamba' with other settings, or another start, needs a name",
    ),
    ({"agents": [{"from": "ppo-jamba", "name": "a/b"}]}, "agents.0.name"),
    ({"envs": [3]}, "envs.0: must be a valid string, was 3"),
    ({"seeds": "many"}, "seeds: must be a number of seeds from 100 on, or a list, was 'many'"),
    ({"seeds": 0}, "seeds: must be a number of seeds"),
    ({"seeds": [1, -1]}, "seeds.1: must be greater than or equal to 0, was -1"),
    ({"differ": ["netwrok"]}, "differ.0: unknown key 'netwrok'; did you mean 'network'?"),
    ({"stop": {"metric": "reward", "at": 1}}, "stop.metric"),
    ({"stop": {"times": 3}}, "key 'stop.at' is missing"),
    (
        {"agents": [{"from": "ppo-mlp", "start": "pendulum"}]},
        "'ppo-mlp' with other settings, or another start, needs a",
    ),
    ({"probes": [{"name": "plain"}]}, "probes: the name 'plain' is taken"),
    ({"probes": [{"name": "a"}, {"name": "a", "memory": False}]}, "probes: the name 'a' is taken"),
    ({"probes": [{"name": "a", "noize": 1}]}, "unknown key 'probes.0.noize'; did you mean 'probes.0.noise'?"),
    ({"probes": [{"name": "a", "noise": -1}]}, "probes.0.noise: must be greater than or equal to 0, was -1"),
    ({"description": 5}, "description: must be text, was 5"),
    ({"grids": {}}, "grids: must be a list of grids"),
    ({"grids": [3]}, "grids.0: needs keys and values, was 3"),
    ({"grids": [{}, {"sedes": 3}]}, "grids.1: unknown key 'sedes'; did you mean 'seeds'?"),
]


@pytest.mark.parametrize(("over", "said"), MISTAKES, ids=lambda value: str(value)[:50])
def test_a_mistake_names_file_and_key(tmp_path: Path, over: dict, said: str) -> None:
    path = write_config(tmp_path / "mine.yaml", **over)
    with pytest.raises(UserError) as caught:
        read_experiment(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_config_gets_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown config 'hoper'; did you mean 'hopper'"):
        read_experiment("hoper")
