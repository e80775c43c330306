"""TensorBoard on the runs of a folder."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

from jamba_rl.catalogue import UserError

EVENTS = "events.out.tfevents.*"


def board_folder(results: Path) -> Path:
    """Where TensorBoard has to look: the runs of a results folder, so that their names begin with the env.

    They are ``env/agent/seed/tb`` then: sorted by env, by agent, by seed.

    :param results: a results folder, a run, or a folder with runs anywhere below
    :raises UserError: if there is no such folder, or nothing in it that TensorBoard could show
    """
    if not results.is_dir():
        raise UserError(f"no folder {results}" if not results.exists() else f"{results} is no folder")
    runs = results / "runs"
    folder = runs if runs.is_dir() else results
    if not any(folder.rglob(EVENTS)):
        raise UserError(f"no TensorBoard events under {folder}: train an agent first")
    return folder


def start_board(folder: Path, host: str | None = None, port: int | None = None) -> str:
    """Start TensorBoard in a thread of this process, which it ends with.

    :param folder: of ``board_folder``
    :param host: default this machine alone can see it
    :param port: default the first free one from 6006 on
    :return: its address
    :raises UserError: if the port is taken, or is none
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it bundles
        from tensorboard.program import TensorBoard, TensorBoardServerException

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line per request
    board = TensorBoard()
    flags = ["--logdir", str(folder), "--load_fast", "false"]  # the fast one talks, and cannot be told not to
    flags += [] if host is None else ["--host", host]
    flags += [] if port is None else ["--port", str(port)]
    board.configure(["", *flags])
    try:
        return board.launch()
    except TensorBoardServerException as error:
        raise UserError(f"TensorBoard: {error.msg}") from error
