"""Sections of reports, and what stands in their tables."""

from __future__ import annotations

from pathlib import Path

from jamba_rl.lab.report import make_study
from jamba_rl.lab.report.compose import compose
from jamba_rl.lab.report.page import Section

HIDDEN = {"task": {"sighted": "open", "reference": {"random": 0.0, "score": 100.0}}}
OPEN = {"task": {"reference": {"random": 0.0, "score": 100.0}}}


def section(results: Path, anchor: str) -> Section:
    return next(each for each in compose(make_study(results)).sections if each.anchor == anchor)


def rows(part: Section) -> list[str]:
    tables = [each for each in part.parts if hasattr(each, "columns")]
    return [" | ".join([group, *map(str, row)]) for table in tables for group, row in table.rows]
