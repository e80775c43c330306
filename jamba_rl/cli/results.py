"""What came out: ``jamba-rl evaluate`` and ``jamba-rl report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jamba_rl.cli.common import at_least, prepare


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    episodes: Annotated[int, typer.Option(callback=at_least(1), metavar="N", help="Episodes to play.")] = 20,
    seed: Annotated[
        int,
        typer.Option(
            callback=at_least(0),
            metavar="S",
            help="Which episodes; never the ones trained or evaluated on in training.",
        ),
    ] = 0,
) -> None:
    """Play deterministic episodes with a trained agent.

    Prints mean and standard deviation of the return and the mean length, and writes them with each
    episode's values to RUN/evaluation-SEED.json.

    **Example**

    - `jamba-rl evaluate results/runs/pendulum-p/ppo-jamba/0-1 --episodes 100`
    """
    from jamba_rl.lab.evaluate import evaluate_run

    prepare()
    scores, path = evaluate_run(run, episodes, seed)
    print(f"return    {scores.mean:,.1f} +/- {scores.std:,.1f} over {episodes} episodes")
    print(f"length    {scores.mean_length:,.1f}")
    print(f"written   {path}")


def report(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="A folder whose runs lie under RESULTS/runs.")],
) -> None:
    """Turn runs into a report.

    Reads every run under RESULTS/runs, from files alone, and writes report.md, report.html (which opens anywhere,
    without a network), scores.csv, curves.csv, provenance.json and figures to RESULTS. Runs that are damaged are named
    and left out. Prints what became of what was expected of a Jamba.

    **Example**

    - `jamba-rl report results/main-job`
    """
    from jamba_rl.lab.report import make_report, name_left_out

    written = make_report(results)
    name_left_out(written)
    for verdict in written.verdicts:
        print(f"expected  {verdict}")
    print(f"written   {written.markdown}")
    print(f"written   {written.html}")
