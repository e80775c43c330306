"""What is being measured, while it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

Show = Callable[[str, float], None]


@contextmanager
def showing(names: Sequence[str], console: Console | None = None) -> Iterator[Show]:
    """Show a live bar on a terminal, and a line per measurement elsewhere, both on stderr.

    Yields a function of the name of what runs and the part of it that is done. A bar stands still while a short
    measurement runs, so that nothing is drawn between two samples of a time.

    :param names: everything that will run, in order
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", total=len(names))

        def show(name: str, part: float) -> None:
            bar.update(task, description=name, completed=names.index(name) + part, refresh=True)

        yield show


def _lines(console: Console) -> Show:
    said = []

    def show(name: str, part: float) -> None:
        del part
        if name not in said:
            said.append(name)
            console.print(f"measuring {name}", highlight=False)

    return show
