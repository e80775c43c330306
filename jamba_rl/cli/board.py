"""``jamba-rl board``."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from jamba_rl.catalogue import UserError

LAST_PORT = 65535


def _port(value: int | None) -> int | None:
    if value is not None and not 1 <= value <= LAST_PORT:
        raise UserError(f"--port must be from 1 to {LAST_PORT}, was {value}")
    return value


def board(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="A results folder, a run, or a tuning.")] = Path(
        "results"
    ),
    port: Annotated[
        int | None, typer.Option(callback=_port, metavar="N", help="Default: the first free one from 6006 on.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who may look: an address of this machine. Default: localhost.")
    ] = None,
) -> None:
    """Open TensorBoard on the runs of a folder, until Ctrl-C.

    Runs are named env/agent/seed; under HParams, seeds of the same agent are one group, with its final score.

    **Examples**

    - `jamba-rl board results/main-job`
    - `jamba-rl board results/runs/pendulum-p/ppo-jamba/0-1 --port 7007`
    """
    from jamba_rl.lab.board import board_folder, start_board

    folder = board_folder(results)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    print(f"runs      {folder}")
    print(f"board     {start_board(folder, host, port)} (Ctrl-C to end)", flush=True)
    try:
        ended.wait()
    except KeyboardInterrupt:
        print()
