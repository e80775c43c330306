"""``jamba-rl watch``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from jamba_rl.catalogue import UserError
from jamba_rl.cli.common import at_least, prepare

SMALLEST, LARGEST = 16, 4096  # pixels


def watch(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    episodes: Annotated[
        int, typer.Option(callback=at_least(1), metavar="N", help="Episodes, one after the other.")
    ] = 1,
    seed: Annotated[
        int,
        typer.Option(callback=at_least(0), metavar="S", help="Which episodes; those of `jamba-rl evaluate --seed S`."),
    ] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The files, without their endings. Default: RUN/watch-SEED.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Of the pictures, as in 640x480. Default: the env's own.")
    ] = None,
    every: Annotated[
        int,
        typer.Option(callback=at_least(1), metavar="K", help="A picture of every K-th step; time runs as it did."),
    ] = 1,
    max_steps: Annotated[
        int | None, typer.Option("--max-steps", callback=at_least(1), metavar="N", help="Stop an episode there.")
    ] = None,
) -> None:
    """Film a trained agent: an mp4 and a gif.

    The newest model plays whole deterministic episodes, and a title says what is hidden from it. Without a display
    MuJoCo draws with EGL or OSMesa, whichever works; MUJOCO_GL=egl, osmesa or glfw decides otherwise.

    **Examples**

    - `jamba-rl watch results/runs/hopper-p/ppo-jamba/0-1`
    - `jamba-rl watch results/runs/hopper-p/ppo-jamba/0-1 --seed 3 --size 320x240 --every 4`
    """
    from jamba_rl.opengl import check_wish

    pixels = _pixels(size)
    check_wish()  # before anything imports mujoco
    prepare()
    from jamba_rl.lab.watch.record import watch_run

    with Console(stderr=True).status("watch") as status:
        watched = watch_run(
            run, episodes, seed, out=out, size=pixels, every=every, max_steps=max_steps, show=status.update
        )
    for episode in watched.episodes:
        print(f"return    {episode.score:,.1f}")
        print(f"length    {episode.length:,}")
    print(f"written   {watched.mp4}")
    print(f"written   {watched.gif}")


def _pixels(size: str | None) -> tuple[int, int] | None:
    """Width and height."""
    if size is None:
        return None
    match = re.fullmatch(r"(\d+)x(\d+)", size)
    if match is None:
        raise UserError(f"--size must be WxH, as in 640x480, was {size!r}")
    width, height = int(match[1]), int(match[2])
    if not all(SMALLEST <= side <= LARGEST for side in (width, height)):
        raise UserError(f"--size must be from {SMALLEST} to {LARGEST} pixels either way, was {size}")
    return width, height
