"""``jamba-rl list``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from jamba_rl import catalogue

WIDE = 150


def list_(
    kind: Annotated[
        str | None, typer.Argument(metavar="[agents|envs|configs]", help="What to list; default both.")
    ] = None,
) -> None:
    """List the agents, envs and experiments that have a name.

    **Examples**

    - `jamba-rl list agents`
    - `jamba-rl list envs`
    """
    kinds = ("agents", "envs", "configs")
    if kind is not None and kind not in kinds:
        raise catalogue.unknown("list", kind, kinds)
    console = Console()
    if not console.is_terminal:
        console.width = WIDE  # a file or pipe has no width; lines stay whole
    for each in kinds if kind is None else (kind,):
        table = Table("name", "description", title=each, title_justify="left", box=None, header_style="dim")
        for name, description in catalogue.descriptions(each).items():
            table.add_row(name, description)
        console.print(table)
    if kind in (None, "envs"):
        print("\n--env takes any gymnasium id too, as in --env Hopper-v5")
