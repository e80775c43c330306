"""Finished runs beside their report: what `scripts/runs` packs is what a report needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.lab.report.runs import grid, report, write_run

SCRIPT = Path(__file__).parents[3] / "scripts" / "runs"


def runs(what: str, *folders: Path) -> str:
    done = subprocess.run([sys.executable, SCRIPT, what, *folders], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def made(results: Path) -> list[str]:
    report(results)
    return [(results / name).read_text() for name in ("scores.csv", "curves.csv", "provenance.json")]


def test_packed_runs_give_the_same_report_elsewhere(tmp_path: Path) -> None:
    here, there = tmp_path / "here" / "results", tmp_path / "there" / "results"
    grid(here / "runs", ["ppo-jamba", "ppo-mlp"], ["a"], seeds=3, evaluations=5)
    write_run(here / "runs/a/ppo-lstm/9", "ppo-lstm", 9, [1.0], env="a", finished=False)
    there.mkdir(parents=True)
    assert runs("pack", here) == "packed 6 runs"
    (here / "runs.tar.xz").rename(there / "runs.tar.xz")
    assert runs("unpack", there) == "unpacked 6 runs"
    assert made(there) == made(here)
    assert runs("pack", there) == "packed 6 runs"


def test_an_archive_depends_on_the_runs_alone(tmp_path: Path) -> None:
    grid(tmp_path / "runs", ["ppo-mlp"], ["a"], seeds=2, evaluations=5)
    runs("pack", tmp_path)
    first = (tmp_path / "runs.tar.xz").read_bytes()
    runs("pack", tmp_path)
    assert (tmp_path / "runs.tar.xz").read_bytes() == first


def test_unpacking_leaves_what_is_there(tmp_path: Path) -> None:
    grid(tmp_path / "runs", ["ppo-mlp"], ["a"], seeds=2, evaluations=5)
    runs("pack", tmp_path)
    changed = next((tmp_path / "runs").rglob("evaluations.csv"))
    changed.write_text("kept")
    assert runs("unpack", tmp_path) == "unpacked 0 runs"
    assert changed.read_text() == "kept"


def test_runs_of_two_benchmarks_make_one_report(tmp_path: Path) -> None:
    for env, agents in ("a", ["ppo-jamba", "ppo-mlp"]), ("b", ["ppo-jamba", "ppo-lstm"]):
        grid(tmp_path / env / "runs", agents, [env], seeds=2, evaluations=5)
        runs("pack", tmp_path / env)
        assert runs("unpack", tmp_path / env, tmp_path / "both") == "unpacked 4 runs"
    report(tmp_path / "both")
    assert len((tmp_path / "both" / "scores.csv").read_text().splitlines()) == 1 + 8


def test_what_is_not_there_is_said_in_a_line(tmp_path: Path) -> None:
    for script, *arguments in (["runs", "unpack", tmp_path], ["again", tmp_path, "a/ppo-mlp/0"]):
        done = subprocess.run([sys.executable, SCRIPT.with_name(script), *arguments], capture_output=True, text=True)
        assert done.returncode
        assert done.stderr == f"no packed runs at {tmp_path}: it has no runs.tar.xz\n"
    grid(tmp_path / "runs", ["ppo-mlp"], ["a"], seeds=1, evaluations=5)
    runs("pack", tmp_path)
    unknown = [sys.executable, SCRIPT.with_name("again"), tmp_path, "a/ppo-mlp/1"]
    done = subprocess.run(unknown, capture_output=True, text=True)
    assert done.stderr == f"{tmp_path}/runs.tar.xz has no a/ppo-mlp/1; it has a/ppo-mlp/0\n"
