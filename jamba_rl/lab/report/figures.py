"""Figures as files: svg for pages, png for where svg is not shown."""

from __future__ import annotations

from pathlib import Path

import vl_convert

from jamba_rl.lab.files import replacing
from jamba_rl.lab.report.page import Page
from jamba_rl.lab.report.palette import LIGHT, styles
from jamba_rl.lab.report.vega import Spec, config, describe

WIDTH = 560
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"  # the first one comes with vl-convert
SCALE = 2.0  # pixels of a png per pixel of its svg


def draw_all(page: Page, folder: Path) -> None:
    """Draw every figure of a report, on light ground; the same page gives the same files, and those of others go."""
    folder.mkdir(exist_ok=True)
    drawn: set[str] = set()
    look = styles(page.agents)
    print_config = config(look, LIGHT, FONT) | {"padding": 12, "title": {"anchor": "start", "offset": 14}}
    for figure in page.figures:
        spec: Spec = {**describe(figure, look, legend=True), "width": WIDTH, "title": figure.title}
        svg = vl_convert.vegalite_to_svg(spec, config=print_config)
        files = {f"{figure.name}.svg": svg.encode(), f"{figure.name}.png": vl_convert.svg_to_png(svg, scale=SCALE)}
        drawn |= files.keys()
        for name, content in files.items():
            with replacing(folder / name) as path:
                path.write_bytes(content)
    for old in {path.name for path in (*folder.glob("*.svg"), *folder.glob("*.png"))} - drawn:
        (folder / old).unlink()
