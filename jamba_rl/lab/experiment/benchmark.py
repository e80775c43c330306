"""``benchmark``: an experiment from its config to its report."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from jamba_rl.lab.experiment.compare import measure_sizes, notes_on, write
from jamba_rl.lab.experiment.jobs import Job, Wishes, make_jobs
from jamba_rl.lab.experiment.launch import Launcher
from jamba_rl.lab.experiment.read import read_experiment
from jamba_rl.lab.experiment.schedule import run_jobs
from jamba_rl.lab.experiment.show import Lines, LiveTable
from jamba_rl.lab.experiment.state import Watcher
from jamba_rl.lab.lock import alone_in
from jamba_rl.lab.report import Report, make_report, name_left_out
from jamba_rl.lab.track import check_tracker


@dataclass(frozen=True)
class Outcome:
    """How an experiment ended.

    :ivar done: how many runs came to their end, now or earlier
    :ivar failed: runs with the last words of their workers, or what of them is damaged
    :ivar report: None if there is nothing to report, or somebody stopped it
    """

    jobs: tuple[Job, ...]
    done: int
    failed: dict[Job, str]
    interrupted: bool
    report: Report | None


def benchmark(
    name: str,
    make_launcher: Callable[[], Launcher],
    out: Path | None = None,
    wishes: Wishes | None = None,
    live: bool = False,
) -> Outcome:
    """Train what an experiment's config asks for and is not done yet, and report on all of it.

    :param name: of the config, or its path
    :param make_launcher: called when it is known that there is no mistake in the config
    :param out: results folder; default ``results/NAME``
    :param live: show a live table instead of plain lines
    :raises UserError: before anything starts; or if there is nothing that can be reported
    """
    experiment = read_experiment(name)
    results = out or Path("results") / experiment.name
    wishes = wishes or Wishes()
    check_tracker(wishes.track)
    jobs = make_jobs(experiment, results, wishes)
    with alone_in(results):
        sizes = measure_sizes(jobs)
        notes = notes_on(jobs, experiment, sizes)
        with closing(make_launcher()) as launcher:
            write(experiment, results, sizes, notes)
            for note in notes:
                print(f"note: {note}", file=sys.stderr)
            with closing((LiveTable if live else Lines)(Watcher(jobs, launcher.workers))) as show:
                progress = run_jobs(jobs, launcher, show)
        done = sum(job.done and job not in progress.failed for job in jobs)
        interrupted = progress.interrupted > 0
        written = make_report(results) if done and not interrupted else None
    if written is not None:
        name_left_out(written)
    return Outcome(tuple(jobs), done, progress.failed, interrupted, written)
