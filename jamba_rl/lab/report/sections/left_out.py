"""Runs that are not in the report, and why."""

from __future__ import annotations

from jamba_rl.lab.report.numbers import plural
from jamba_rl.lab.report.page import Section
from jamba_rl.lab.report.runs import LeftOut
from jamba_rl.lab.report.study import Study


def left_out(study: Study) -> Section | None:
    """Name and reason of every run that was found and does not count."""
    if not study.left_out:
        return None
    return Section(
        "left-out",
        "Left out",
        words=[f"{plural(len(study.left_out), 'run')} found that cannot be reported; all others are."],
        points=[f"`{name(study, run)}`: {reason(study, run)}." for run in study.left_out],
    )


def name(study: Study, run: LeftOut) -> str:
    """Where a run lies, from the results folder on."""
    return run.folder.relative_to(study.folder).as_posix()


def reason(study: Study, run: LeftOut) -> str:
    """Why it is left out, with paths from the results folder on, so that it says the same on every machine."""
    text, own = run.reason.replace(f"{study.folder}/", ""), name(study, run)
    return text if text.startswith(f"{own} and ") else text.removeprefix(f"{own}/").removeprefix(f"{own} ")
