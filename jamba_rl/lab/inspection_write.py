"""An inspection on paper: the terminal, csv and json."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from jamba_rl.lab.inspection import Inspection
from jamba_rl.lab.speed.write import show, write_both
from jamba_rl.models.layers import HEADER


def show_inspection(found: Inspection, console: Console | None = None) -> None:
    """Print a table, in full width to a file or pipe."""
    show(inspection_table(found), console=console)


def inspection_table(found: Inspection) -> Table:
    """A line per layer, and what its authors say of the whole."""
    table = Table(
        title=f"{found.name} ({found.kind}), {found.table.context:,} steps in memory",
        title_justify="left", box=None, header_style="dim", padding=(0, 1), caption=_claim(found),
        caption_justify="left", caption_style="",
    )  # fmt: skip
    for i, column in enumerate(HEADER):
        table.add_column(column, justify="left" if i < 3 else "right")
    for layer in (*found.table.blocks, found.table.rest):
        table.add_row(*layer.cells)
    table.add_section()
    table.add_row(*found.table.total.cells)
    return table


def write_inspection(found: Inspection, folder: Path) -> tuple[Path, Path]:
    """Write inspect-NAME.csv, a line per layer, and inspect-NAME.json."""
    return write_both(folder, f"inspect-{Path(found.name).stem}", found.rows, found.as_dict())


def _claim(found: Inspection) -> str | None:
    if found.claimed is None:
        return None
    counted = found.table.total.parameters
    return f"{counted:,} parameters, {counted / found.claimed:.1f} times the {found.claimed:,} of its documents"
