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
                env = task["env"].removesuffix("-p") if agent["sighted"] else task["env"]
                yield task["results"], env, agent["agent"], cell


@pytest.mark.parametrize(("results", "env", "agent", "cell"), list(scores()))
def test_scores_are_those_of_the_report(results: str, env: str, agent: str, cell: str) -> None:
    said = SCORE.fullmatch(cell)
    assert said, cell
    table = pd.read_csv(ROOT / results / "scores.csv")
    finals = table[(table.env == env) & (table.agent == agent)].final
    for which, found in ("mean", finals.mean()), ("worst", finals.min()), ("best", finals.max()):
        decimals = len(said[which].partition(".")[2])
        assert said[which] == f"{found:.{decimals}f}"


def test_there_are_scores() -> None:
    assert len(list(scores())) > 20
