"""The training table: everyone is there, sized alike, timed alike."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from jamba_rl.lab.speed.training import training_speed, write

pytestmark = pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")


def test_the_table_has_the_agents_and_the_peers_of_equal_size(tmp_path: Path) -> None:
    speeds = training_speed("pendulum-p", ["ppo-jamba", "ppo-mlp"], rounds=1, turns=1)
    names = [speed.name for speed in speeds]
    assert names[:3] == ["ppo-jamba", "ppo-mlp", "SB3 PPO"]
    jamba = speeds[0].parameters
    peers = [speed for speed in speeds if speed.name.startswith("sb3-contrib")]
    assert len(peers) == 2
    for peer in peers:
        assert abs(peer.parameters - jamba) < 0.03 * jamba
    assert all(0 < speed.slowest <= speed.median <= speed.fastest for speed in speeds)
    assert speeds[0].ratio == 1.0
    assert speeds[1].ratio == pytest.approx(speeds[1].median / speeds[0].median), "of one round"
    lines, everything = write(speeds, tmp_path / "new", "pendulum-p")
    assert [row["name"] for row in csv.DictReader(lines.read_text().splitlines())] == names
    written = json.loads(everything.read_text())
    assert [row["name"] for row in written["rows"]] == names
    assert (written["env"], written["in step"]) == ("pendulum-p", False)
    assert {"torch", "sb3-contrib"} <= written["versions"].keys()


@pytest.mark.parametrize("in_step", [False, True])
def test_envs_are_in_step_when_asked(in_step: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import jamba_rl.lab.speed.training_ppo as module

    staggered = []
    make_env = module.make_env
    monkeypatch.setattr(
        module, "make_env", lambda *args, **kwargs: staggered.append(kwargs["staggered"]) or make_env(*args, **kwargs)
    )
    monkeypatch.setattr(module, "_contrib", lambda env, in_step, parameters: {})
    training_speed("pendulum-p", ["ppo-mlp"], rounds=1, turns=1, in_step=in_step)
    assert staggered == [not in_step] * 2


def test_sac_is_timed_against_sac(tmp_path: Path) -> None:
    speeds = training_speed("pendulum-p", ["sac-ssm", "sac-mlp"], rounds=1, turns=3)
    assert [speed.name for speed in speeds] == ["sac-ssm", "sac-mlp", "SB3 SAC"]
    assert all(0 < speed.slowest <= speed.fastest for speed in speeds)
    path, everything = write(speeds, tmp_path, "pendulum-p")
    assert path.name == "training-sac.csv"
    assert json.loads(everything.read_text())["protocol"]["batch_size"] == 256
