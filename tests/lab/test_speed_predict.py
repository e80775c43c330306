"""The table of acting: agents of every kind, in turn, with what they remember."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jamba_rl.lab.speed import peers, training_ppo
from jamba_rl.lab.speed.predict import Latency, predict_speed, predict_table, write
from tests.conftest import Outcome

ENV = "pendulum-p"
AGENTS = ["ppo-mlp", "sac-jamba", "ppo-jamba", "ppo-jamba-window"]


@pytest.fixture(scope="module")
def latencies() -> list[Latency]:
    return predict_speed(ENV, AGENTS, rounds=2, sample=1e-3, n_envs=(1, 3))


def test_everyone_is_timed_at_every_number_of_envs(latencies: list[Latency]) -> None:
    theirs = ["SB3 PPO", "sb3-contrib RecurrentPPO", "sb3-contrib, one shared LSTM"]
    assert [(each.name, each.n_envs) for each in latencies] == [(x, n) for n in (1, 3) for x in [*AGENTS, *theirs]]
    assert all(0 < each.p50 <= each.p95 for each in latencies)
    assert all(each.calls >= 2 for each in latencies)


def test_memory_and_observations_are_per_env(latencies: list[Latency]) -> None:
    found = {(each.name, each.n_envs): each for each in latencies}
    for name in AGENTS:
        assert found[name, 1].state == found[name, 3].state
        assert found[name, 1].seen == found[name, 3].seen
    assert found["ppo-mlp", 1].state == 0
    assert found["ppo-jamba", 1].state > 1000
    assert found["ppo-jamba-window", 1].state == 0  # its memory is the window that it sees
    assert found["ppo-jamba-window", 1].seen > 10 * found["ppo-jamba", 1].seen


def test_percentiles_are_over_all_timed_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    from jamba_rl.lab.speed import predict

    seen = []
    percentile = np.percentile
    monkeypatch.setattr(predict.np, "percentile", lambda a, q: seen.append(list(a)) or percentile(a, q))
    monkeypatch.setattr(training_ppo, "_contrib", lambda *_: {})
    first, *_ = predict_speed(ENV, ["ppo-mlp"], rounds=3, sample=1e-4, n_envs=(1,))
    assert first.calls == len(seen[0])
    assert first.p50 == pytest.approx(1e6 * sorted(seen[0])[len(seen[0]) // 2], rel=0.5)


def test_both_files_can_be_read_again(latencies: list[Latency], tmp_path: Path) -> None:
    lines, everything = write(latencies, tmp_path / "new", ENV)
    read = list(csv.DictReader(lines.read_text().splitlines()))
    assert [row["name"] for row in read] == [each.name for each in latencies]
    written = json.loads(everything.read_text())
    assert (written["env"], written["unit"], written["threads"]) == (ENV, "us", 1)
    assert "sb3-contrib" in written["versions"]
    assert predict_table(latencies).row_count == 7


def test_the_command_says_who_is_absent(
    cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_ppo, "_contrib", lambda *_: {})
    monkeypatch.setattr(peers, "installed", lambda packages: dict.fromkeys(packages))
    done = cli("speed", "predict", "ppo-mlp", "--env", ENV, "--rounds", "1", "--out", "here")
    assert done.code == 0, done.err
    assert "absent    sb3-contrib: pip install sb3-contrib" in done.out
    assert (tmp_path / "here/predict.csv").exists()


def test_an_unknown_agent_gets_the_nearest(cli: Callable[..., Outcome]) -> None:
    done = cli("speed", "predict", "ppo-jmba")
    assert (done.code, done.out) == (2, "")
    assert "did you mean 'ppo-jamba'?" in done.err
