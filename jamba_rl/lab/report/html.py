"""A report as one HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from jamba_rl.lab.report.explore import explorable
from jamba_rl.lab.report.numbers import minus
from jamba_rl.lab.report.page import Bars, Chart, Group, Page, Table
from jamba_rl.lab.report.palette import DARK, LIGHT, styles
from jamba_rl.lab.report.vega import config, describe
from jamba_rl.version import __version__

HERE = Path(__file__).parent
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def html(page: Page) -> str:
    """Put words, tables, figures, style and programs into the template."""
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            page=page,
            styles=styles(page.agents),
            grounds=(LIGHT, DARK),
            font=FONT,
            data=_data(page),
            assets={path.name: path.read_text(encoding="utf-8") for path in (HERE / "assets").iterdir()},
            vega=_vega(),
            licence=_licence(),
            version=__version__,
        )
    )


def _data(page: Page) -> dict[str, Any]:
    """What the program draws: descriptions of all figures by name, and how they look on either ground."""
    look = styles(page.agents)
    figures = {figure.name: describe(figure, look) for figure in page.figures}
    for figure in page.figures:
        if isinstance(figure, Chart):
            figures[figure.name] = explorable(figures[figure.name])
    configs = {ground.name: config(look, ground, FONT) for ground in (LIGHT, DARK)}
    return {"agents": page.agents, "figures": figures, "configs": configs}


@cache
def _vega() -> str:
    """The program that draws figures, out of the package that is installed."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


@cache
def _licence() -> str:
    """That of Vega, which the page contains."""
    files = distribution("vl-convert-python").files or []
    return next(path.read_text() for path in files if path.name == "LICENSE")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = prose
    environment.tests["table"] = lambda part: isinstance(part, Table)
    environment.tests["group"] = lambda part: isinstance(part, Group)
    environment.tests["chart"] = lambda part: isinstance(part, Chart)
    environment.tests["figure"] = lambda part: isinstance(part, Bars | Chart)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment


def prose(text: object) -> Markup:
    """Code in backticks and bold in stars as HTML, and a minus sign where a number has one.

    >>> print(prose("**a** `b-1` is <-2"))
    <strong>a</strong> <code>b-1</code> is &lt;−2
    """
    safe = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", minus(str(escape(text))))
    return Markup(re.sub(r"`(.+?)`", r"<code>\1</code>", safe))
