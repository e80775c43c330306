"""The speed table: everyone is there, sized alike, timed alike."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from jamba_rl.lab.speed import training_speed, write


@pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")
def test_the_table_has_the_agents_and_the_peers_of_equal_size(tmp_path: Path) -> None:
    speeds = training_speed("pendulum-p", ["ppo-jamba", "ppo-mlp"], rounds=1, rollouts=1)
    names = [speed.name for speed in speeds]
    assert names[:3] == ["ppo-jamba", "ppo-mlp", "SB3 PPO"]
    jamba = speeds[0].parameters
    peers = [speed for speed in speeds if speed.name.startswith("sb3-contrib")]
    assert len(peers) == 2
    for peer in peers:
        assert abs(peer.parameters - jamba) < 0.03 * jamba
    assert all(0 < speed.slowest <= speed.median <= speed.fastest for speed in speeds)
    with write(speeds, tmp_path / "new").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == names
