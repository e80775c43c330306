"""``jamba-rl benchmark``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.cli.common import at_least, prepare
from jamba_rl.cli.train import INTERRUPTED, EpisodesOption, EveryOption, SetOption, StepsOption, TrackOption

if TYPE_CHECKING:
    from jamba_rl.lab.experiment.benchmark import Outcome
    from jamba_rl.lab.experiment.launch import Launcher

FAILED = 1  # some run did, or cannot be reported
LAUNCHERS = ("local", "ray")


def benchmark(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="A name from `jamba-rl list configs`, or a YAML file.")
    ],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Results folder. Default: results/CONFIG.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(callback=at_least(1), metavar="N", help="Runs at a time, each on one thread. Default: as cores."),
    ] = None,
    launcher: Annotated[
        str, typer.Option(metavar="WHERE", help="local: processes of this machine; ray: a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(metavar="A", help="Of the Ray cluster. Default: $RAY_ADDRESS, or a new one on this machine."),
    ] = None,
    steps: StepsOption = None,
    eval_every: EveryOption = None,
    eval_episodes: EpisodesOption = None,
    settings: SetOption = None,
    track: TrackOption = None,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="Plain lines instead of the live table.")] = False,
) -> None:
    """Train agents x envs x seeds, one process per core, and report.

    Runs that are done are kept, and those that were cut off go on from their newest checkpoint: the same command again
    is always right. A run that fails leaves its traceback in error.txt in its folder, and the others go on (exit
    code 1); so it is with one whose files are damaged.

    **Examples**

    - `jamba-rl benchmark smoke`
    - `jamba-rl benchmark configs/hopper.yaml --workers 8`
    - `jamba-rl benchmark recall --launcher ray --address 10.0.0.1:6379`

    Ctrl-C saves a checkpoint of every run and ends (exit code 130); a second Ctrl-C aborts at once.
    """
    if launcher not in LAUNCHERS:
        raise catalogue.unknown("launcher", launcher, LAUNCHERS)
    if address is not None and launcher != "ray":
        raise UserError("--address is of a Ray cluster: give --launcher ray too, or leave it out")
    from jamba_rl.lab.experiment.benchmark import benchmark as run_benchmark
    from jamba_rl.lab.experiment.jobs import Wishes

    prepare()
    evaluation = {"every": eval_every, "episodes": eval_episodes}
    protocol: dict[str, Any] = {"evaluation": {key: value for key, value in evaluation.items() if value is not None}}
    if steps is not None:
        protocol["steps"] = steps
    outcome = run_benchmark(
        config,
        lambda: _launcher(launcher, workers, address),
        out,
        Wishes(protocol, tuple(settings or ()), track),
        live=not no_progress and sys.stderr.isatty(),
    )
    _show(outcome)
    if outcome.interrupted:
        raise typer.Exit(INTERRUPTED)
    if outcome.failed or (outcome.report is not None and outcome.report.left_out):
        raise typer.Exit(FAILED)


def _launcher(name: str, workers: int | None, address: str | None) -> Launcher:
    if name == "ray":
        from jamba_rl.lab.experiment.cluster import RayLauncher

        return RayLauncher(workers, address)
    from jamba_rl.lab.experiment.local import LocalLauncher

    return LocalLauncher(workers)


def _show(outcome: Outcome) -> None:
    for job, said in outcome.failed.items():
        reasons = [line for line in said.splitlines() if line.strip()]
        print(f"failed    {job.name}: {reasons[-2] if len(reasons) > 1 else reasons[-1]}")
        print(f"          {shlex.quote(str(job.folder / 'error.txt'))}")
    print(f"runs      {outcome.done} of {len(outcome.jobs)} are done")
    if outcome.interrupted:
        print("stopped   checkpoints are written; the same command again goes on")
    if outcome.report is not None:
        print(f"written   {outcome.report.markdown}")
