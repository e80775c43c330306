"""Figures are what Vega-Lite understands, say what they are given, and look the same every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import vl_convert

from jamba_rl.lab.report.explore import explorable
from jamba_rl.lab.report.figures import FONT, draw_all
from jamba_rl.lab.report.page import Bar, Bars, Chart, Line, Page, Section
from jamba_rl.lab.report.palette import DARK, LIGHT, styles
from jamba_rl.lab.report.vega import config, describe
from jamba_rl.lab.stats import Interval

STYLES = styles(["ppo-jamba", "ppo-mlp"])
JAMBA = Line("ppo-jamba", [0, 10], [1.0, 3.0], low=[0.0, 2.0], high=[2.0, 4.0], runs={0: [0.0, 2.0], 1: [2.0, 4.0]})
CURVES = Chart("a", "Task", [JAMBA, Line("ppo-mlp", [10], [2.0])], "env steps", "return", marks=[(5.0, "reference")])
FLAT = Chart("flat", "Flat", [Line("ppo-mlp", [5], [0.0])], "env steps", "return")
FINALS = Bars("a-final", "Task", [Bar("ppo-jamba", Interval(3.0, 2.0, 4.0), "-3"), Bar("ppo-mlp", Interval(2.0), "2")])
SHARES = Bars(
    "b", "Gap", [Bar("ppo-jamba", Interval(1.2, -0.1, 2.0), "120%")], marks=[(0, "no"), (1, "all")], share=True
)


def drawn(spec: dict[str, Any], ground: Any = LIGHT) -> str:
    return vl_convert.vegalite_to_svg(spec | {"width": 400}, config=config(STYLES, ground, FONT))


@pytest.mark.parametrize("figure", [CURVES, FLAT, FINALS, SHARES], ids=lambda figure: figure.name)
def test_every_kind_of_figure_can_be_drawn(figure: Bars | Chart) -> None:
    spec = describe(figure, STYLES, legend=True)
    json.dumps(spec, allow_nan=False)
    assert "NaN" not in drawn(spec)
    if isinstance(figure, Chart):
        assert "NaN" not in drawn(explorable(spec))


@pytest.mark.parametrize("ground", [LIGHT, DARK])
def test_an_agent_has_the_colour_of_its_ground(ground: Any) -> None:
    for figure in (CURVES, FINALS):
        svg = drawn(describe(figure, STYLES), ground)
        assert all(ground.of(style) in svg for style in STYLES.values())


def test_what_is_hidden_is_not_drawn_and_the_scale_stays() -> None:
    spec = describe(CURVES, STYLES)
    hidden = spec | {"params": [{"name": "hidden", "value": ["ppo-jamba"]}, {"name": "seeds", "value": False}]}
    assert STYLES["ppo-jamba"].light not in drawn(hidden)
    assert [axis for axis in ("1", "2", "3", "4", "5") if f">{axis}</text>" in drawn(hidden)] == [
        "1",
        "2",
        "3",
        "4",
        "5",
    ]


def test_seeds_are_drawn_on_demand() -> None:
    spec = describe(CURVES, STYLES)
    every = spec | {"params": [{"name": "hidden", "value": []}, {"name": "seeds", "value": True}]}
    lines = [drawn(each).count(f'stroke="{STYLES["ppo-jamba"].light}"') for each in (spec, every)]
    assert lines == [1, 3]


def test_a_legend_names_the_agents_of_its_chart_alone() -> None:
    svg = drawn(describe(FLAT, STYLES, legend=True))
    assert (">ppo-mlp</text>" in svg, ">ppo-jamba</text>" in svg) == (True, False)


def test_numbers_have_minus_signs() -> None:
    assert ">\N{MINUS SIGN}3<" in drawn(describe(FINALS, STYLES))


def test_files_do_not_depend_on_what_was_drawn_before(tmp_path: Path) -> None:
    page = Page("t", "", [], [Section("s", "S", parts=[CURVES, FINALS])], list(STYLES))
    draw_all(page, tmp_path / "one")
    drawn(explorable(describe(CURVES, STYLES)))
    draw_all(page, tmp_path / "two")
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / each).iterdir()} for each in ("one", "two"))
    assert one == two
    assert sorted(one) == ["a-final.png", "a-final.svg", "a.png", "a.svg"]
