"""Figures in the grammar of Vega-Lite: one description each, for the page, the svg and the png.

Agents have their colours from the config, so that the same description is drawn on light and on dark ground. A page can
set two parameters: ``hidden``, names of agents that are not shown, and ``seeds``, whether every seed is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jamba_rl.lab.report.numbers import minus
from jamba_rl.lab.report.page import Bar, Bars, Chart, Line
from jamba_rl.lab.report.palette import Ground, Style

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
MEANS = "means"  # name of the layer of agents' curves
DIGITS = 5  # of a value that is drawn
HEIGHT, ROW = 250, 40  # pixels: of a chart, and of an estimate
LEGEND = {"title": None, "orient": "bottom", "columns": 4, "labelLimit": 0, "symbolSize": 400, "symbolStrokeWidth": 2.2}
SHOWN = "indexof(hidden, datum.agent) < 0"
PARAMS = [{"name": "hidden", "value": []}, {"name": "seeds", "value": False}]


def describe(figure: Bars | Chart, styles: Mapping[str, Style], legend: bool = False) -> Spec:
    """What a figure shows, without how it is looked at.

    :param styles: of all agents of the report, so that a colour means one agent throughout
    :param legend: whether a chart has one of its own
    """
    layers = _chart(figure, styles, legend) if isinstance(figure, Chart) else _bars(figure, styles)
    return {
        "$schema": SCHEMA,
        "description": f"{figure.title}. {figure.finding}",
        "width": "container",
        "height": HEIGHT if isinstance(figure, Chart) else ROW * len(figure.bars),
        "params": PARAMS,
        **layers,
    }


def config(styles: Mapping[str, Style], ground: Ground, font: str) -> Spec:
    """How every figure looks on light or dark ground."""
    axis = {"domain": False, "ticks": False, "labelColor": ground.faint, "titleColor": ground.faint}
    return {
        "background": ground.card,
        "font": font,
        "range": {"category": [ground.of(style) for style in styles.values()]},
        "axis": {**axis, "gridColor": ground.grid, "titleFontWeight": "normal", "titleFontSize": 11, "labelPadding": 6},
        "legend": {**LEGEND, "labelColor": ground.ink},
        "rule": {"color": ground.faint},
        "text": {"color": ground.ink, "fontSize": 12},
        "view": {"stroke": None},
    }


def _chart(chart: Chart, styles: Mapping[str, Style], with_legend: bool) -> Spec:
    x, y = _axes(chart)
    names = [line.agent for line in chart.lines]
    legend = {"values": names, "symbolType": "stroke", "symbolOpacity": 1} if with_legend else None
    dash = {"field": "agent", "scale": {"domain": list(styles), "range": [[*s.dashes] for s in styles.values()]}}
    colour = _colour(styles) | {"legend": legend}
    band = {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}, "color": colour}
    seed = {"x": x, "y": y | {"field": "runs"}, "color": colour, "detail": {"field": "seed"}}
    mean = {"x": x, "y": y, "color": colour, "strokeDash": dash | {"legend": legend}}
    layers = [
        *_marks(chart.marks, "y", y),
        _layer("area", band, [{"filter": "datum.low.length > 0"}, {"flatten": ["x", "low", "high"]}], opacity=0.14),
        _layer(
            "line",
            seed,
            [{"filter": "seeds"}, {"flatten": ["seed", "runs"]}, {"flatten": ["x", "runs"]}],
            strokeWidth=0.8,
            opacity=0.5,
        ),
        {"name": MEANS} | _layer("line", mean, [{"flatten": ["x", "y"]}], strokeWidth=2.2),
    ]
    if any(len(line.x) == 1 for line in chart.lines):
        dot = {"x": x, "y": y, "color": colour}
        layers.append(_layer("circle", dot, [{"filter": "datum.x.length == 1"}, {"flatten": ["x", "y"]}], size=70))
    columns = [_columns(line) for line in chart.lines]
    return {"data": {"values": columns}, "transform": [{"filter": SHOWN}], "layer": layers}


def _layer(mark: str, encoding: Spec, transform: list[Spec], **look: Any) -> Spec:
    return {"transform": transform, "mark": {"type": mark, **look}, "encoding": encoding}


def _axes(chart: Chart) -> tuple[Spec, Spec]:
    """Scales that hold everything, so that they stay as they are when agents are hidden."""
    across = [value for line in chart.lines for value in line.x]
    up = [value for line in chart.lines for values in (line.y, line.low, line.high) for value in values]
    up += [value for line in chart.lines for run in line.runs.values() for value in run]
    up += [value for value, _ in chart.marks]
    ends = [0.0, 1.0] if chart.share else [min(up), max(up)]
    short = {"format": "~s"} if max(across) >= 10_000 else {}
    x = _scaled("x", chart.x_label, _domain(min(across), max(across)), {"grid": False, "tickCount": 6, **short})
    y_axis = {"tickCount": 5, **({"format": "%"} if chart.share else {})}
    return x, _scaled("y", chart.y_label, _domain(*ends) | {"nice": not chart.share}, y_axis)


def _domain(low: float, high: float) -> Spec:
    """Ends of a scale; around a single value, room on both sides."""
    room = 0.0 if high > low else abs(low) / 2 or 1.0
    return {"domain": [*_short([low - room, high + room])]}


def _columns(line: Line) -> Spec:
    """A line as columns, which is a fraction of what it is as rows."""
    return {
        "agent": line.agent,
        "x": _short(line.x),
        "y": _short(line.y),
        "low": _short(line.low),
        "high": _short(line.high),
        "seed": list(line.runs),
        "runs": [_short(values) for values in line.runs.values()],
    }


def _bars(bars: Bars, styles: Mapping[str, Style]) -> Spec:
    """An interval and a dot a row, name and value above them: that suits a narrow page as well as a wide one."""
    ends = {"domainMin": 0, "domainMax": 1} if bars.share and _within(bars) else {"zero": False}
    x = _scaled("value", bars.label, ends, {"tickCount": 5, **({"format": "%"} if bars.share else {})})
    y = {"field": "agent", "type": "nominal", "sort": None, "axis": None}
    opacity = {"condition": {"test": SHOWN, "value": 1}, "value": 0.15}
    names = {"y": y, "opacity": opacity}
    drawn = {**names, "color": _colour(styles) | {"legend": None}}
    rows = [_row(bar) for bar in bars.bars]
    interval: Spec = {
        "transform": [{"filter": "isValid(datum.low)"}],
        "mark": {"type": "rule", "strokeWidth": 7, "strokeCap": "round", "yOffset": 9, "strokeOpacity": 0.35},
        "encoding": {**drawn, "x": x | {"field": "low"}, "x2": {"field": "high"}},
    }
    layers = [
        *_marks(bars.marks, "x", x),
        *([interval] if any(row["low"] is not None for row in rows) else []),
        {"mark": {"type": "circle", "size": 90, "yOffset": 9}, "encoding": {**drawn, "x": x}},
        {
            "mark": {"type": "text", "align": "left", "yOffset": -9},
            "encoding": {**names, "x": {"value": 0}, "text": {"field": "agent"}},
        },
        {
            "mark": {"type": "text", "align": "right", "yOffset": -9},
            "encoding": {**names, "x": {"value": "width"}, "text": {"field": "text"}},
        },
    ]
    return {"data": {"values": rows}, "layer": layers}


def _row(bar: Bar) -> Spec:
    """An estimate; without an interval where an end of it is infinite or not known."""
    ends = (bar.interval.low, bar.interval.high)
    low, high = ends if all(map(math.isfinite, ends)) else (None, None)
    return {"agent": bar.agent, "value": bar.interval.value, "low": low, "high": high, "text": minus(bar.text)}


def _within(bars: Bars) -> bool:
    ends = [end for bar in bars.bars for end in (bar.interval.value, bar.interval.low, bar.interval.high)]
    return all(0 <= end <= 1 for end in ends if math.isfinite(end))


def _marks(marks: Sequence[tuple[float, str]], channel: str, scaled: Spec) -> list[Spec]:
    """Dotted lines across a scale, each with its meaning at its end."""
    made: list[Spec] = []
    place: Spec
    across: Spec
    for value, name in marks:
        at = {channel: {**scaled, "field": "value"}}
        if channel == "y":
            across, place = {"x": {"value": "width"}}, {"align": "right", "dy": -6}
        else:
            side = "center" if len(marks) == 1 else "left" if value == min(marks)[0] else "right"
            across, place = {"y": {"value": 0}}, {"align": side, "dy": -7}
        line: Spec = {"mark": {"type": "rule", "strokeDash": [2, 4]}, "encoding": at}
        text = {"type": "text", "text": name, "fontSize": 10, "opacity": 0.75, **place}
        words: Spec = {"mark": text, "encoding": {**at, **across}}
        made.append({"data": {"values": [{"value": value}]}, "layer": [line, words]})
    return made


def _scaled(field: str, title: str, scale: Spec, axis: Spec) -> Spec:
    return {"field": field, "type": "quantitative", "scale": scale, "title": title or None, "axis": axis}


def _colour(styles: Mapping[str, Style]) -> Spec:
    return {"field": "agent", "type": "nominal", "scale": {"domain": list(styles)}}


def _short(values: Iterable[float]) -> list[float]:
    """Values with as many digits as can be seen; steps stay whole."""
    return [int(value) if value == int(value) else float(f"{value:.{DIGITS}g}") for value in values]
