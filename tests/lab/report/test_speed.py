"""A hundred runs are reported in seconds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from jamba_rl.lab.report import make_report
from tests.lab.report.runs import grid

AGENTS = ["ppo-jamba", "ppo-lstm", "ppo-ssm", "ppo-mlp-framestack", "ppo-mlp"]


@pytest.mark.slow
def test_a_hundred_runs_take_less_than_twenty_seconds(tmp_path: Path) -> None:
    """Of this process's own time: others may have the machine too."""
    grid(tmp_path / "runs", AGENTS, ["a", "b", "c", "d"], seeds=5, evaluations=50)
    start = time.process_time()
    written = make_report(tmp_path)
    assert time.process_time() - start < 20
    assert "100 runs: 5 agents on 4 tasks, 5 seeds each." in written.markdown.read_text()
    assert written.html.stat().st_size < 1_200_000
