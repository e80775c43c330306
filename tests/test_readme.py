"""The scores on the front page are those of the reports that it links to."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd
import pytest

from jamba_rl.catalogue import PACKAGE

ROOT = PACKAGE.parent
TASK = re.compile(r"\[`(?P<env>[\w-]+)`\]\((?P<results>results/[\w-]+)/report\.md\)")
AGENT = re.compile(r"`(?P<agent>(?:ppo|sac)-[\w-]+)`(?P<sighted>, nothing hidden)?")
SCORE = re.compile(r"\*{0,2}(?P<mean>-?[\d.]+)\*{0,2} \((?P<worst>-?[\d.]+) to (?P<best>-?[\d.]+)\)")
SOLVED = re.compile(r"\*{0,2}(?P<solved>\d+) of (?P<seeds>\d+)\*{0,2}( at (?P<steps>\d+)k|, (?P<mean>-?[\d.]+))")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def scores() -> Iterator[tuple[str, str, str, str]]:
    """Results folder, env, agent and score of every cell that has one."""
    header: list[str] = []
    before = ""
    for line in (ROOT / "README.md").read_text().splitlines():
        if re.fullmatch(r"[|-]+", line):
            header = cells(before)
        before = line
        task = TASK.match(cells(line)[0])
        if not line.startswith("|") or task is None:
            continue
        for who, cell in zip(header[1:], cells(line)[1:], strict=True):
            agent = AGENT.fullmatch(who)
            if agent and cell:
                env = re.sub("-[pv]$", "", task["env"]) if agent["sighted"] else task["env"]
                yield task["results"], env, agent["agent"], cell


def as_said(number: float, said: str) -> str:
    """As many decimals as were said."""
    return f"{number:.{len(said.partition('.')[2])}f}"


@pytest.mark.parametrize(("results", "env", "agent", "cell"), list(scores()))
def test_scores_are_those_of_the_report(results: str, env: str, agent: str, cell: str) -> None:
    table = pd.read_csv(ROOT / results / "scores.csv")
    runs = table[(table.env == env) & (table.agent == agent)]
    if said := SOLVED.fullmatch(cell):
        solved = runs[runs.steps < runs.budget]  # ended early: good enough
        assert (int(said["solved"]), int(said["seeds"])) == (len(solved), len(runs))
        found = {"steps": solved.steps.median() / 1000, "mean": runs.final.mean()}
    else:
        said = SCORE.fullmatch(cell)
        assert said, cell
        found = {"mean": runs.final.mean(), "worst": runs.final.min(), "best": runs.final.max()}
    for which, number in found.items():
        assert said[which] in (None, as_said(number, said[which] or ""))


def test_there_are_scores() -> None:
    assert len(list(scores())) > 20
