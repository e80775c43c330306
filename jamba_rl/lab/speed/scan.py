"""The selective scan, forward and backward, against its layer's projections and against other scans."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.passes import forward_backward, projections
from jamba_rl.lab.speed.peers import indexing_loop, mambapy_scan
from jamba_rl.lab.speed.row import Bar, Figures, Row, make_row, share, slower
from jamba_rl.lab.speed.timing import Call
from jamba_rl.nn import selective_scan


def scan(effort: Effort, batch: int = 16, steps: int = 128, channels: int = 256, states: int = 16) -> list[Row]:
    """Time exp, scan, C.h and D skip, with the gradients of all six arguments.

    :param channels: inner width of the layer, twice its outer one
    """
    arguments = scan_arguments(batch, steps, channels, states)
    ours = _call(our_scan, arguments)
    d_model, rank = channels // 2, math.ceil(channels / 32)
    what = f"scan, forward + backward, B{batch} T{steps} D{channels} N{states}"

    def part_of_projections() -> Figures:
        alone = projections(d_model, channels, states, rank, batch, steps)
        times = effort.time({"ours": ours, "projections": alone})
        return share(times["ours"], times["projections"])

    def against(other: Callable[..., Tensor], slow: bool) -> Figures:
        times = effort.time({"ours": ours, "other": _call(other, arguments)}, slow)
        return slower(times["ours"], times["other"])

    loop, pscan = "HF-style loop", "mambapy pscan"
    return [
        make_row("scan", what, "its four projections", Bar(0.35, "x"), part_of_projections),
        make_row("scan", what, loop, Bar(100, "x", at_least=True), lambda: against(indexing_loop, slow=True)),
        make_row("scan", what, pscan, Bar(8, "x", at_least=True), lambda: against(mambapy_scan, slow=False)),
    ]


def scan_arguments(batch: int, steps: int, channels: int, states: int) -> list[Tensor]:
    """Draw x, dt, A, B, C, D as they are in a new layer: dt from 1e-3 to 0.1, A = -1..-N."""
    dt = torch.empty(batch, steps, channels).uniform_(math.log(1e-3), math.log(0.1)).exp()
    A = -torch.arange(1.0, states + 1).repeat(channels, 1)
    B, C = torch.randn(2, batch, steps, states).unbind()
    arguments = [torch.randn(batch, steps, channels), dt, A, B, C, torch.ones(channels)]
    return [argument.clone().requires_grad_() for argument in arguments]


def our_scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Scan as this package does, y alone."""
    return selective_scan(x, dt, A, B, C, D)[0]


def _call(function: Callable[..., Tensor], arguments: list[Tensor]) -> Call:
    return forward_backward(lambda: function(*arguments), arguments)
