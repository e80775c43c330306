"""Files that a kill at any moment leaves whole, or without their last line at worst."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from jamba_rl.catalogue import UserError

Json = TypeVar("Json", dict[str, Any], list[Any])


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write to the path that this yields; it then takes the place of ``path`` in one step, or is gone with an error.

    The path is this process's own: of several that write the same file, the last one's stays.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_json(path: Path, kind: type[Json]) -> Json:
    """Content of a JSON file.

    :param kind: what is at its top level, ``dict`` or ``list``
    :raises UserError: if it cannot be read, or is something else
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}") from error
    if not isinstance(data, kind):
        raise UserError(f"{path}: needs {'keys and values' if kind is dict else 'a list'} at the top level")
    return data


class Table:
    """A csv file that grows by rows, and by columns when a row has new ones.

    :param path: the file, made with the first row
    :param columns: the columns to begin with
    :raises UserError: as `rows` does
    """

    def __init__(self, path: Path, columns: Sequence[str] = ()) -> None:
        self.path = path
        rows = self.rows()
        self.columns = list(rows[0]) if rows else list(columns)

    def rows(self) -> list[dict[str, str]]:
        """All complete rows; a last line without its end was cut off by a kill, and is left out.

        :raises UserError: if the file is no table
        """
        if not self.path.exists():
            return []
        try:
            text = self.path.read_text(encoding="utf-8")
            whole = text[: text.rfind("\n") + 1]
            rows = list(csv.DictReader(whole.splitlines(), restval=""))
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(f"{self.path} cannot be read: {error}") from error
        if any(None in row for row in rows):  # where DictReader puts what is too much
            raise UserError(f"{self.path} has a row with more values than it has columns")
        return rows

    def check_numbers(self, *columns: str) -> None:
        """Make sure that every row has a number in each of some columns.

        :raises UserError: names the column
        """
        for row in self.rows():
            for column in columns:
                try:
                    float(row[column])
                except KeyError:
                    raise UserError(f"{self.path} has no column {column!r}") from None
                except ValueError:
                    raise UserError(f"{self.path}: {column} must be a number, was {row[column]!r}") from None

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
