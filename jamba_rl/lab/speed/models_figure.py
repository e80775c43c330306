"""The general benchmark as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jamba_rl.lab.speed.number import Number

PANEL = (6.0, 4.5)  # inches
LEGEND = 1.8
PARTS = {"training": "training step", "layers": "training step of one layer"}
COLORS = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]


def draw_models(numbers: Sequence[Number], path: Path) -> Path | None:
    """Draw time over batch and length, training steps, and layers: a panel each, for what was measured.

    The same numbers give the same file.

    :return: the file; None if there is nothing to draw
    """
    measured = [number for number in numbers if number.value is not None]
    forward = [number for number in measured if number.part == "forward"]
    steps = {part: [x for x in measured if x.part == part and x.quantity == "training step"] for part in PARTS}
    panels: list[Callable[[Axes], None]] = []
    if forward:
        panels.append(partial(_lines, numbers=_usual(forward, "steps"), along="batch"))
        panels.append(partial(_lines, numbers=_usual(forward, "batch"), along="steps"))
    panels += [partial(_dots, numbers=steps[part], label=label) for part, label in PARTS.items() if steps[part]]
    if not panels:
        return None
    columns, rows = min(len(panels), 2), -(-len(panels) // 2)
    figure = Figure(figsize=(columns * PANEL[0] + LEGEND * bool(forward), rows * PANEL[1]), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for panel, each in zip(panels, axes, strict=False):
        panel(each)
        each.spines[["top", "right"]].set_visible(False)
    for empty in axes[len(panels) :]:
        empty.set_axis_off()
    if forward:
        figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside right upper")
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "jamba-rl"}):
        figure.savefig(path, metadata={"Date": None})
    return path


def _usual(numbers: Sequence[Number], fixed: str) -> list[Number]:
    """Those that share the size that most of them have."""
    sizes = [getattr(number, fixed) for number in numbers]
    most = max(set(sizes), key=lambda size: (sizes.count(size), size), default=None)
    return [number for number in numbers if getattr(number, fixed) == most]


def _lines(axes: Axes, numbers: Sequence[Number], along: str) -> None:
    """One line per name, those of others dashed, over both sizes in powers."""
    for i, name in enumerate(dict.fromkeys(number.name for number in numbers)):
        own = sorted((number for number in numbers if number.name == name), key=lambda number: getattr(number, along))
        x, y = [getattr(number, along) for number in own], [number.value or 0.0 for number in own]
        style = "--" if own[0].against else "-"
        axes.plot(x, y, style, color=COLORS[i % len(COLORS)], label=name, marker="o", markersize=3, linewidth=1.2)
    other = "steps" if along == "batch" else "batch"
    label = f"{along}, {other} {getattr(numbers[0], other)}"
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="forward pass, ms")
    ticks = sorted({getattr(number, along) for number in numbers})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def _dots(axes: Axes, numbers: Sequence[Number], label: str) -> None:
    """One dot per name, the quickest on top, with its extremes over rounds; a bar has no foot on such a scale."""
    ordered = sorted(numbers, key=lambda number: -(number.value or 0.0))
    for i, number in enumerate(ordered):
        color = "0.55" if number.against else "C0"
        axes.plot([number.value or 0.0], [i], "o", color=color)
        if number.low is not None and number.high is not None:
            axes.plot([number.low, number.high], [i, i], color=color, linewidth=1.5)
    axes.set_yticks(range(len(ordered)), [number.name for number in ordered], fontsize=8)
    shape = f"B{ordered[0].batch} T{ordered[0].steps}"
    axes.set(xscale="log", xlabel=f"{label}, ms, {shape}; lines: all rounds; grey: others' own")
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
