"""Files that a kill at any moment leaves whole, or without their last line at worst."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write to the path that this yields; it then takes the place of ``path`` in one step."""
    unfinished = path.with_name(path.name + ".part")
    yield unfinished
    os.replace(unfinished, path)


class Table:
    """A csv file that grows by rows, and by columns when a row has new ones.

    :param path: the file, made with the first row
    :param columns: the columns to begin with
    """

    def __init__(self, path: Path, columns: Sequence[str] = ()) -> None:
        self.path = path
        rows = self.rows()
        self.columns = list(rows[0]) if rows else list(columns)

    def rows(self) -> list[dict[str, str]]:
        """All complete rows; a last line without its end was cut off by a kill, and is left out."""
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        return list(csv.DictReader(whole.splitlines(), restval=""))

    def append(self, row: Mapping[str, object]) -> None:
        """Add a row; values that it lacks stay empty."""
        new = sorted(row.keys() - set(self.columns))
        if new or not self.path.exists():
            self.columns += new
            self._write(self.rows())
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns, lineterminator="\n").writerow(row)

    def keep(self, wanted: Callable[[dict[str, str]], bool]) -> None:
        """Drop all rows but the wanted ones."""
        if self.path.exists():
            self._write([row for row in self.rows() if wanted(row)])

    def _write(self, rows: Sequence[Mapping[str, object]]) -> None:
        with replacing(self.path) as path, path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
