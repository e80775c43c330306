"""The command line: one verb, one call. Imports of weight wait until a verb needs them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from jamba_rl.catalogue import UserError
from jamba_rl.cli import benchmark, board, inspect, listing, results, speed, train, tune, watch

app = typer.Typer(
    help="Agents with memory for Stable-Baselines3, on a plain CPU.",
    epilog="Begin with `jamba-rl train --env pendulum-p`, which takes a minute or two.",
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(train.train)
app.command()(benchmark.benchmark)
app.command()(results.evaluate)
app.command()(watch.watch)
app.command("list")(listing.list_)
app.command()(results.report)
app.command()(board.board)
app.command()(tune.tune)
app.command()(inspect.inspect)
app.add_typer(speed.app, name="speed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code: 0, 2 for a user's mistake, 130 when interrupted."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return app(given or ["--help"], prog_name="jamba-rl", standalone_mode=False) or 0
    except (UserError, typer.TyperException) as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        print(f"jamba-rl: {' '.join(message.split())}", file=sys.stderr)
        return 2
