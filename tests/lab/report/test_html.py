"""The page needs nothing but itself, and says no more than it was given."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vl_convert

from jamba_rl.lab.report.order import KINDS
from jamba_rl.lab.report.palette import COLOURS, DARK, DASHES, LIGHT, styles
from tests.lab.report.runs import grid, report, write_run

MEMORIES = ["ppo-jamba", "ppo-lstm", "ppo-ssm", "ppo-mlp-framestack", "ppo-mlp"]


def page_of(results: Path) -> str:
    return report(results).with_suffix(".html").read_text()


def without_vega(page: str) -> str:
    return page.replace(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"), "")


def figures_of(page: str) -> dict[str, Any]:
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(data)["figures"]


def test_it_asks_for_nothing_from_outside(results: Path) -> None:
    page = page_of(results)
    ours = without_vega(page)
    assert len(ours) < len(page) / 5  # it is there, and is all that is not looked at
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:|#)""", ours)
    assert not re.search(r"@import|url\(", ours)
    assert "default-src 'none'" in ours


def test_it_carries_the_licence_of_what_it_carries(results: Path) -> None:
    page = page_of(results)
    assert "Redistributions in binary form must reproduce the above copyright" in page
    assert page.count("<!--") == page.count("-->")


def test_names_are_text_and_no_markup(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    write_run(tmp_path / "runs/0", name, 0, [1.0], env="a&b</script>")
    page = page_of(tmp_path)
    assert name not in page
    assert "a&amp;b&lt;/script&gt;" in page
    assert page.count("</script>") == 3


def test_every_agent_has_the_curve_that_was_evaluated(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/0", "ppo-jamba", 0, [1.0, 2.0, 3.0], env="a")
    write_run(tmp_path / "runs/1", "ppo-lstm", 0, [5.123456], env="a")
    curves = figures_of(page_of(tmp_path))["a"]["data"]["values"]
    assert [(curve["agent"], curve["x"], curve["y"]) for curve in curves] == [
        ("ppo-jamba", [1000, 2000, 3000], [1, 2, 3]),
        ("ppo-lstm", [1000], [5.1235]),
    ]


def test_what_was_never_reached_and_what_has_no_interval_can_be_drawn(tmp_path: Path) -> None:
    """JSON has no infinity, and a page with one is blank."""
    write_run(tmp_path / "runs/0", "ppo-jamba", 0, [1.0], env="a")
    (bar,) = figures_of(page_of(tmp_path))["a-final"]["data"]["values"]
    assert (bar["value"], bar["low"], bar["high"]) == (1.0, None, None)


def test_many_runs_make_a_page_of_moderate_size(tmp_path: Path) -> None:
    grid(tmp_path / "runs", MEMORIES[:3], ["a", "b"], seeds=3, evaluations=1000)
    assert len(page_of(tmp_path)) < 1_200_000  # curves are thinned; curves.csv has all


def test_an_agent_has_the_same_colour_everywhere_and_its_own_style() -> None:
    agents = [*MEMORIES, *(f"sac-{kind}" for kind in KINDS if kind), *(f"own-{i}" for i in range(8))]
    made = styles(agents)
    assert made["ppo-jamba"].light == made["sac-jamba"].light
    assert len({(style.light, style.dashes) for style in made.values()}) == len(agents)


# Of severely protan and deutan eyes, on linear RGB (Machado et al. 2009, table 1).
EYES = {
    "normal": np.eye(3),
    "protan": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deutan": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
}


def linear(colour: str) -> np.ndarray:
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb.clip(0, 1)
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 0.0089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("ground", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("eye", EYES)
def test_agents_are_told_apart_by_any_eye(eye: str, ground: int) -> None:
    """By their colours those that are usually compared, and all others by those or their dashes."""
    usual = {agent.partition("-")[2] for agent in MEMORIES}
    seen = {kind: lab(EYES[eye] @ linear(colours[ground])) for kind, colours in COLOURS.items()}
    for one, other in combinations(COLOURS, 2):
        alike = np.linalg.norm(seen[one] - seen[other]) < 12
        assert not (alike and {one, other} <= usual), (one, other)
        assert not (alike and DASHES.get(one) == DASHES.get(other)), (one, other)


@pytest.mark.parametrize("kind", COLOURS)
def test_lines_stand_out_from_their_ground(kind: str) -> None:
    """At least 3:1, as WCAG wants of graphics."""
    for colour, ground in zip(COLOURS[kind], (LIGHT.card, DARK.card), strict=True):
        weights = np.array([0.2126, 0.7152, 0.0722])
        bright, dark = sorted((weights @ linear(colour) + 0.05, weights @ linear(ground) + 0.05), reverse=True)
        assert bright / dark >= 3
