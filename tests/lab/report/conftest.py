"""A results folder to report on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.report.runs import write_run


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for seed in (0, 1):
        write_run(tmp_path / f"runs/jamba-{seed}", "ppo-jamba", seed, [-900.0] * 18 + [-200.0 - seed, -100.0 - seed])
    write_run(tmp_path / "runs/mlp-0", "ppo-mlp", 0, [-1000.0])
    return tmp_path
