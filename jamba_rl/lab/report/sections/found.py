"""What came out, in a sentence per question."""

from __future__ import annotations

from jamba_rl.lab.report.page import Section
from jamba_rl.lab.report.sections.aggregate import highest_iqm
from jamba_rl.lab.report.sections.compute import fastest
from jamba_rl.lab.report.sections.expected import verdicts
from jamba_rl.lab.report.sections.lead import lead_on, leaders
from jamba_rl.lab.report.sections.memory import closes
from jamba_rl.lab.report.study import Study


def found(study: Study) -> Section:
    """The answers of the sections below, as far as there are any."""
    answers = {
        "Scores": leaders(study) or str(lead_on(study, study.envs[0])),
        "Aggregate": highest_iqm(study),
        "Memory": closes(study),
        "Against a simple SSM": verdicts(study),
        "Cost": fastest(study),
    }
    return Section("found", "In short", points=[f"**{name}**: {text}" for name, text in answers.items() if text])
