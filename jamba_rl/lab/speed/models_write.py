"""The general benchmark on paper: csv with one line per number, json with its origin too, and the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jamba_rl.lab.speed.number import Number
from jamba_rl.lab.speed.write import show, write_both

NAME = "models"


def write_models(numbers: Sequence[Number], origin: Mapping[str, Any], folder: Path) -> tuple[Path, Path]:
    """Write models.csv and models.json."""
    lines = [{key: _plain(value) for key, value in asdict(number).items()} for number in numbers]
    return write_both(folder, NAME, lines, {**origin, "rows": [asdict(number) for number in numbers]})


def show_models(numbers: Sequence[Number], console: Console | None = None) -> None:
    """Print a table per part; an x is how many times as long as ours someone takes, the median of single rounds."""
    parts = dict.fromkeys(number.part for number in numbers)
    show(*(table_of([number for number in numbers if number.part == part], part) for part in parts), console=console)


def table_of(numbers: Sequence[Number], title: str) -> Table:
    """A line per model, a column per quantity and shape."""
    columns = list(dict.fromkeys(_column(number) for number in numbers if number.value is not None))
    table = Table(title=f"\n{title}", title_justify="left", box=None, header_style="dim", padding=(0, 1))
    table.add_column("name")
    for column in columns:
        table.add_column(column, justify="right")
    for name in dict.fromkeys(number.name for number in numbers):
        own = {_column(number): number for number in numbers if number.name == name}
        notes = [number.note for number in own.values() if number.note]
        cells = [_cell(own.get(column)) for column in columns]
        table.add_row(name, *(cells if not notes else [f"[yellow]{notes[0]}[/]", *cells[1:]]))
    return table


def _column(number: Number) -> str:
    """What stands over a column."""
    shape = _shape(number)
    unit = f" {number.unit}" if number.unit else ""
    return f"{number.quantity}{unit}" + (f"\n{shape}" if shape else "")


def _shape(number: Number) -> str:
    return " ".join(_sizes(number))


def _sizes(number: Number) -> Iterator[str]:
    if number.batch is not None:
        yield f"B{number.batch}"
    if number.steps is not None:
        yield f"T{number.steps}"


def _cell(number: Number | None) -> str:
    """Counts whole, times in three digits, of others also how many times as long as ours.

    >>> _cell(Number("sizes", "a", "parameters", 73549)), _cell(Number("forward", "a", "forward", 0.12345)), _cell(None)
    ('73,549', '0.123', '')
    >>> _cell(Number("forward", "b", "forward", 1.5, against="a", ratio=12.152))
    '1.5 (12.2x)'
    """
    if number is None or number.value is None:
        return ""
    return _short(number.value) + ("" if number.ratio is None else f" ({_short(number.ratio)}x)")


def _short(number: float) -> str:
    return f"{number:,.0f}" if isinstance(number, int) or number >= 100 else f"{number:.3g}"


def _plain(value: object) -> object:
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else value
