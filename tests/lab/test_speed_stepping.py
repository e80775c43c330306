"""The stepping table: every way there is, against SB3's processes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from jamba_rl.lab.speed.stepping import THEIRS, stepping_speed, write

pytestmark = pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")


@pytest.mark.parametrize(
    ("env", "ways"),
    [
        ("hopper-noise", [THEIRS, "SB3's DummyVecEnv", "in-process", "envpool"]),
        ("tmaze-50", [THEIRS, "SB3's DummyVecEnv", "in-process"]),
    ],
)
def test_every_way_is_timed_against_sb3s_processes(env: str, ways: list[str], tmp_path: Path) -> None:
    speeds = stepping_speed(env, n_envs=2, rounds=1)
    assert [speed.name for speed in speeds] == ways
    assert speeds[0].ratio == 1.0
    for speed in speeds:
        assert 0 < speed.slowest <= speed.median <= speed.fastest
        assert speed.ratio == pytest.approx(speed.median / speeds[0].median)  # of one round
    lines, everything = write(speeds, tmp_path, env, 2)
    assert [row["name"] for row in csv.DictReader(lines.read_text().splitlines())] == ways
    written = json.loads(everything.read_text())
    assert (written["env"], written["n_envs"]) == (env, 2)
    assert "envpool" in written["versions"]
