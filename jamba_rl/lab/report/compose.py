"""A whole report, section by section."""

from __future__ import annotations

from collections.abc import Callable

from jamba_rl.lab.report.numbers import plural
from jamba_rl.lab.report.page import Page, Section
from jamba_rl.lab.report.sections.aggregate import aggregate
from jamba_rl.lab.report.sections.compute import compute
from jamba_rl.lab.report.sections.curves import curves
from jamba_rl.lab.report.sections.differences import compared
from jamba_rl.lab.report.sections.duels import duels
from jamba_rl.lab.report.sections.efficiency import efficiency
from jamba_rl.lab.report.sections.expected import expected
from jamba_rl.lab.report.sections.found import found
from jamba_rl.lab.report.sections.left_out import left_out
from jamba_rl.lab.report.sections.memory import memory
from jamba_rl.lab.report.sections.probes import probes
from jamba_rl.lab.report.sections.scores import scores
from jamba_rl.lab.report.sections.spread import spread
from jamba_rl.lab.report.sections.transfer import transfer
from jamba_rl.lab.report.sources import sources
from jamba_rl.lab.report.study import Study

SECTIONS: tuple[Callable[[Study], Section | None], ...] = (
    left_out,
    found,
    curves,
    scores,
    aggregate,
    duels,
    expected,
    memory,
    transfer,
    probes,
    efficiency,
    spread,
    compared,
    compute,
    sources,
)


def compose(study: Study) -> Page:
    """Everything that there is to say."""
    made = [section(study) for section in SECTIONS]
    return Page(study.name, _lead(study), _facts(study), [each for each in made if each is not None], study.agents)


def _lead(study: Study) -> str:
    agents, envs = plural(len(study.agents), "agent"), plural(len(study.envs), "task")
    text = f"{plural(len(study.runs), 'run')}: {agents} on {envs}, {_seeds(study)} each."
    said = study.experiment.description
    return f"{said}{'' if said.endswith(('.', '?', '!')) else '.'} {text}" if said else text


def _seeds(study: Study) -> str:
    counts = study.scores.groupby(["agent", "env"]).size()
    low, high = counts.min(), counts.max()
    return plural(low, "seed") if low == high else f"{low} to {high} seeds"


def _facts(study: Study) -> list[tuple[str, str]]:
    steps = study.scores.steps.sum()
    return [
        ("runs", f"{len(study.runs)}"),
        ("tasks", f"{len(study.envs)}"),
        ("agents", f"{len(study.agents)}"),
        ("seeds", _seeds(study).removesuffix(" seeds").removesuffix(" seed")),
        ("env steps", f"{steps / 1e6:,.1f}M" if steps >= 1e6 else f"{steps:,}"),
    ]
