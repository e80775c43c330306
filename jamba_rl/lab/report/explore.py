"""What a reader can do with a chart on the page: hover for values, zoom, move."""

from __future__ import annotations

from copy import deepcopy

from jamba_rl.lab.report.vega import MEANS, Spec

# The wheel scrolls the page unless Ctrl is held, which is also how browsers report a pinch; a finger always scrolls it.
ZOOM = {
    "name": "zoom",
    "bind": "scales",
    "select": {
        "type": "interval",
        "encodings": ["x"],
        "zoom": "wheel![event.ctrlKey || event.metaKey]",
        "translate": "[pointerdown[event.pointerType == 'mouse'], window:pointerup] > window:pointermove!",
        "clear": "dblclick",
    },
}
HOVER = {
    "name": "hover",
    "select": {
        "type": "point",
        "fields": ["x"],
        "nearest": True,
        "on": "pointermove",
        "clear": "pointerout",
    },
}


def explorable(chart: Spec) -> Spec:
    """A description of a chart with all that: a line where the pointer is, dots on the curves there, and a tooltip.

    The tooltip holds the place on the x axis alone; the page's program says what every agent has there.
    """
    spec = deepcopy(chart)
    for layer in spec["layer"]:
        if "mark" in layer:
            layer["mark"]["clip"] = True  # where the chart is zoomed into
    means = next(layer for layer in spec["layer"] if layer.get("name") == MEANS)
    means["params"] = [ZOOM]
    spec["layer"] += _hover(**{channel: means["encoding"][channel] for channel in ("x", "y", "color")})
    return spec


def _hover(x: Spec, y: Spec, color: Spec) -> list[Spec]:
    flat = {"flatten": ["x", "y"]}
    here = {"condition": {"param": "hover", "empty": False, "value": 1}, "value": 0}
    dots = {
        "transform": [flat, {"filter": {"param": "hover", "empty": False}}],
        "mark": {"type": "circle", "size": 50, "opacity": 1, "clip": True},
        "encoding": {"x": x, "y": y, "color": color},
    }
    line = {
        "transform": [flat, {"aggregate": [{"op": "count", "as": "agents"}], "groupby": ["x"]}],
        "params": [HOVER],
        "mark": {"type": "rule", "strokeWidth": 1},
        "encoding": {"x": x, "opacity": here, "tooltip": {"field": "x", "type": "quantitative"}},
    }
    return [dots, line]
