"""The tables on paper: csv with one line per row, json with everything, and the terminal."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jamba_rl.lab.files import replacing
from jamba_rl.lab.speed.row import Row

WIDE = 150  # columns, where no terminal says how many there are
MET = {"yes": "[green]yes[/]", "no": "[red]no[/]", "absent": "[yellow]absent[/]", "": ""}


def write_both(
    folder: Path, name: str, columns: Sequence[Mapping[str, Any]], everything: Mapping[str, Any]
) -> tuple[Path, Path]:
    """Write NAME.csv, whose lines are flat, and NAME.json.

    :return: both paths
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / f"{name}.csv", folder / f"{name}.json"
    with replacing(paths[0]) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(columns)
    with replacing(paths[1]) as path:
        path.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    return paths


def write_core(rows: Sequence[Row], origin: Mapping[str, Any], folder: Path) -> tuple[Path, Path]:
    """Write core.csv and core.json: every row, and in the second every single round and where it comes from."""
    return write_both(folder, "core", [flat(row) for row in rows], {**origin, "rows": [asdict(row) for row in rows]})


def flat(row: Row) -> dict[str, Any]:
    """A row of the csv."""
    figures = row.figures
    numbers = ("value", "low", "high", "ours", "peer")
    found = {name: getattr(figures, name, None) for name in numbers}
    short = {name: "" if x is None else f"{x:.5g}" for name, x in found.items()}
    return {
        "name": row.name,
        "what": row.what,
        "against": row.against,
        **short,
        "unit": "" if figures is None else figures.unit,
        "bar": row.bar,
        "met": row.met,
        "note": row.note,
    }


def core_table(rows: Sequence[Row]) -> Table:
    """Format rows for the terminal."""
    table = Table(
        "name", "what", "ours", "against", "result", "bar", "met", box=None, header_style="dim", padding=(0, 1)
    )
    for row in rows:
        table.add_row(row.name, row.what, *_cells(row), row.bar, MET[row.met])
    return table


def show_core(rows: Sequence[Row], console: Console | None = None) -> None:
    """Print rows, in full width to a file or pipe."""
    show(core_table(rows), console=console)


def show(*tables: Table, console: Console | None = None) -> None:
    """Print tables, in full width to a file or pipe."""
    console = console or Console()
    if not console.is_terminal:
        console.width = WIDE
    for table in tables:
        console.print(table)


def _cells(row: Row) -> tuple[str, str, str]:
    """Ours, the peer and what came out; the way to get the peer where it is absent."""
    figures = row.figures
    if figures is None:
        return "", row.against, row.note
    ours, peer = (f"{_short(x)} {figures.unit}".strip() for x in (figures.ours, figures.peer))
    return ours, f"{row.against} {peer}".strip(), _short(figures.value) or ""


def _short(number: float | None) -> str:
    """Three digits.

    >>> _short(0.12345), _short(1234.5), _short(3.2e-7), _short(None)
    ('0.123', '1234', '3.2e-07', '')
    """
    if number is None:
        return ""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"
