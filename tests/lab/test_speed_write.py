"""What the core's table looks like: on the command line and in files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from jamba_rl.lab.speed.core import MEASUREMENTS, origin
from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.progress import showing
from jamba_rl.lab.speed.row import Absent, Bar, Figures, Row, make_row
from jamba_rl.lab.speed.write import show_core, write_core
from tests.conftest import Outcome


def absent() -> Figures:
    raise Absent("pip install someone")


ROWS = [
    make_row("quick", "first", "someone", Bar(2, "x"), lambda: Figures(1.5, 1.0, 1.75, 3.0, 2.0, "ms", {"all": [1]})),
    make_row("quick", "second", "someone", Bar(2, "x"), lambda: Figures(float("nan"))),
    make_row("slow", "third", "someone", Bar(2, "x"), absent),
    make_row("slow", "fourth", "someone", None, lambda: Figures(7.0)),
]


def test_rows_are_judged() -> None:
    assert [row.met for row in ROWS] == ["yes", "no", "absent", ""]
    assert [row.bar for row in ROWS] == ["<= 2x", "<= 2x", "<= 2x", ""]


def test_both_files_can_be_read_again(tmp_path: Path) -> None:
    effort = Effort(rounds=3)
    lines, everything = write_core(ROWS, origin(effort), tmp_path / "new")
    read = list(csv.DictReader(lines.read_text().splitlines()))
    assert [row["met"] for row in read] == [row.met for row in ROWS]
    assert (read[0]["value"], read[0]["low"], read[0]["ours"], read[0]["unit"]) == ("1.5", "1", "3", "ms")
    assert (read[2]["value"], read[2]["note"]) == ("", "pip install someone")
    written = json.loads(everything.read_text())
    assert written["rows"][0]["figures"]["details"] == {"all": [1]}
    assert written["rows"][2]["figures"] is None
    assert {"torch", "transformers", "mambapy"} <= written["versions"].keys()
    assert written["kernel"] in ("on", "off")
    assert written["effort"]["rounds"] == 3
    assert {"started", "cpu", "threads"} <= written.keys()


def test_the_terminal_shows_every_row() -> None:
    out = io.StringIO()
    show_core(ROWS, Console(file=out))
    for row, said in zip(ROWS, ("1.5", "nan", "pip install someone", "7"), strict=True):
        line = next(line for line in out.getvalue().splitlines() if row.what in line)
        assert said in line
        assert row.met in line


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_names_what_runs(terminal: bool) -> None:
    out = io.StringIO()
    with showing(["scan", "step"], Console(file=out, force_terminal=terminal)) as show:
        for name in ("scan", "step"):
            for part in (0.0, 0.5, 1.0):
                show(name, part)
    assert out.getvalue().index("scan") < out.getvalue().index("step")
    if not terminal:
        assert out.getvalue() == "measuring scan\nmeasuring step\n"


def test_the_command_measures_what_is_named_and_writes_it(cli: Callable[..., Outcome], tmp_path: Path) -> None:
    asked = ["--only", "minibatch", "--only", "streaming", "--rounds", "1", "--stream-steps", "200"]
    done = cli("speed", "core", *asked, "--out", "here")
    assert done.code == 0
    assert done.err.splitlines() == ["measuring minibatch", "measuring streaming"]
    written = json.loads((tmp_path / "here/core.json").read_text())
    assert [row["name"] for row in written["rows"]] == ["minibatch"] * 2 + ["streaming"] * 4
    assert written["effort"]["stream steps"] == 200
    assert (tmp_path / "here/core.csv").read_text().count("\n") == 7
    assert "here/core.csv" in done.out


@pytest.mark.parametrize("arguments", [["speed"], ["speed", "core"]])
def test_without_a_name_everything_is_measured_and_nothing_written(
    cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    for name in MEASUREMENTS:
        row = Row(name, name, "someone", "", "", Figures(1.0))
        monkeypatch.setitem(MEASUREMENTS, name, lambda effort, row=row: [row])
    done = cli(*arguments)
    assert done.code == 0
    assert all(name in done.out for name in MEASUREMENTS)
    assert not list(tmp_path.iterdir())


def test_help_names_every_measurement(cli: Callable[..., Outcome]) -> None:
    said = cli("speed", "core", "--help").out
    assert all(name in said for name in MEASUREMENTS)
