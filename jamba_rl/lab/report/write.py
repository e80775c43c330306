"""The files of a report."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.files import replacing
from jamba_rl.lab.report.compose import compose
from jamba_rl.lab.report.experiment import OWN
from jamba_rl.lab.report.figures import draw_all
from jamba_rl.lab.report.findings import findings
from jamba_rl.lab.report.html import html
from jamba_rl.lab.report.markdown import markdown
from jamba_rl.lab.report.sources import provenance
from jamba_rl.lab.report.study import Study, make_study


@dataclass(frozen=True)
class Report:
    """What was written.

    :ivar verdicts: what became of expectations, one in a line
    :ivar left_out: damaged runs and the reason, one in a line
    :ivar unfinished: how many runs have not come to their end
    """

    markdown: Path
    html: Path
    verdicts: tuple[str, ...]
    left_out: tuple[str, ...]
    unfinished: int


def make_report(results: Path) -> Report:
    """Write what came out of an experiment beside its runs.

    Reads every run under ``results/runs``, from files alone, and writes ``report.md``, ``report.html``, ``scores.csv``
    (one row per run), ``curves.csv`` (tidy: agent,env,seed,step,metric,value), figures as svg and png,
    ``provenance.json``, and ``config.yaml`` unless `jamba-rl benchmark` wrote one. The same runs give the same files.
    Runs that are damaged are named and left out.

    :raises UserError: if there is no run that can be reported, before anything is written; or if that cannot be
    """
    study = make_study(results)
    page = compose(study)
    try:
        write_tables(study)
        draw_all(page, results / "figures")
        _write(results / "report.md", markdown(page))
        _write(results / "report.html", html(page))
    except OSError as error:
        raise UserError(f"cannot write {error.filename}: {error.strerror}") from error
    damaged = tuple(run.reason for run in study.left_out if run.kind == "damaged")
    verdicts = tuple(map(str, findings(study)))
    unfinished = len(study.left_out) - len(damaged)
    return Report(results / "report.md", results / "report.html", verdicts, damaged, unfinished)


def name_left_out(written: Report) -> None:
    """Say on standard error which runs are not in a report."""
    for reason in dict.fromkeys(written.left_out):  # two runs of one seed have the same
        print(f"jamba-rl: left out: {' '.join(reason.split())}", file=sys.stderr)
    if written.unfinished:
        print(f"jamba-rl: left out: {written.unfinished} not finished yet", file=sys.stderr)


def write_tables(study: Study) -> None:
    """Write scores.csv, curves.csv, config.yaml and provenance.json."""
    _replace(study.folder / "scores.csv", lambda path: study.scores.to_csv(path, index=False))
    _replace(study.folder / "curves.csv", lambda path: tidy_curves(study).to_csv(path, index=False))
    configs = resolved(study)
    if not study.experiment.has_config:
        _replace(study.folder / "config.yaml", lambda path: catalogue.dump({OWN: configs}, path))
    _write(study.folder / "provenance.json", json.dumps({**provenance(study), "configs": configs}, indent=2) + "\n")


def tidy_curves(study: Study) -> pd.DataFrame:
    """Every number of every evaluation, one in a row."""
    parts = []
    for run in study.runs:
        metrics = run.evaluations.drop(columns="seed", errors="ignore").set_index("step")
        tidy = {
            "step": np.tile(metrics.index, len(metrics.columns)),
            "metric": np.repeat(metrics.columns, len(metrics)),
            "value": metrics.to_numpy().ravel("F"),
        }
        parts.append(pd.DataFrame(run.who | tidy))
    return pd.concat(parts, ignore_index=True)


def resolved(study: Study) -> dict[str, Any]:
    """The config of every agent on every env, and the seeds that it was run with."""
    made: dict[str, dict[str, Any]] = {}
    for env in study.envs:
        for agent in study.agents_on(env):
            runs = study.runs_of(agent, env)
            config = {key: value for key, value in runs[0].config.items() if key != "seed"}
            made.setdefault(env, {})[agent] = {"seeds": sorted(run.seed for run in runs), **config}
    return made


def _write(path: Path, text: str) -> None:
    _replace(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    with replacing(path) as unfinished:
        write(unfinished)
