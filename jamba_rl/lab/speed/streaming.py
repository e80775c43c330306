"""A long life step by step: memory stays as it is, and the last steps are still those of ``forward``."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.row import Absent, Bar, Figures, Row, make_row
from jamba_rl.nn import Jamba, JambaConfig, State

DRIFT = Bar(1e-5)
BLOCK = 1000  # steps whose inputs are drawn at once
MB = 1e6


@dataclass(frozen=True)
class Stream:
    """What a stream leaves behind: sizes after a tenth of it and at its end, and its last window.

    :ivar before: the state before the last window
    :ivar inputs: (B, up to 2 W - 1, D), the last ones: all that attention in the last window can see
    :ivar outputs: (B, W, D), the last ones
    :ivar resident: bytes of the process; empty where the system does not tell
    :ivar state: bytes of the state
    """

    before: State
    inputs: Tensor
    outputs: Tensor
    resident: tuple[int, ...]
    state: tuple[int, int]


def streaming(effort: Effort, d_model: int = 64, window: int = 64) -> list[Row]:
    """Stream through Mamba and attention, and through attention alone, which must not need a state to agree."""
    steps = effort.stream_steps
    both, alone = (Jamba(JambaConfig(d_model=d_model, pattern=p, window=window)).eval() for p in ("MA", "A"))
    hybrid = stream(both, steps, window, lambda part: effort.progress(0.7 * part))
    attention = stream(alone, steps, window, lambda part: effort.progress(0.7 + 0.3 * part))

    def growth() -> Figures:
        if not hybrid.resident:
            raise Absent("/proc/self/statm, which Linux has")
        early, late = hybrid.resident
        return Figures((late - early) / MB, ours=late / MB, peer=early / MB, unit="MB")

    def state_growth() -> Figures:
        early, late = hybrid.state
        return Figures(late - early, ours=late, peer=early, unit="B")

    what = f"streaming {steps:,} steps, "
    tenth, forward = "after a tenth of them", "forward over the last window"
    return [
        make_row("streaming", what + "MA: growth of the process", tenth, Bar(2, " MB"), growth),
        make_row("streaming", what + "MA: growth of the state", tenth, Bar(0, " B"), state_growth),
        make_row(
            "streaming", what + f"MA: drift in the last {window}", forward, DRIFT, lambda: _drift(both, hybrid, True)
        ),
        make_row(
            "streaming",
            what + f"A: drift in the last {window}",
            f"forward over {2 * window - 1} steps, from nothing",
            DRIFT,
            lambda: _drift(alone, attention, False),
        ),
    ]


@torch.no_grad()
def stream(backbone: Jamba, steps: int, window: int, progress: Callable[[float], None]) -> Stream:
    """Make steps on random inputs, one sequence, and keep what the checks need.

    :param steps: at least the window
    """
    state = before = backbone.initial_state(1)
    inputs: deque[Tensor] = deque(maxlen=2 * window - 1)
    outputs: deque[Tensor] = deque(maxlen=window)
    sizes = []
    for i in range(steps):
        if i % BLOCK == 0:
            block = torch.randn(BLOCK, 1, backbone.config.d_model)
            progress(i / steps)
        if i == steps - window:
            before = state
        if i == steps // 10:
            sizes.append((resident_bytes(), _bytes(state)))
        out = backbone.step(block[i % BLOCK], state)
        state = out.state
        inputs.append(block[i % BLOCK])
        outputs.append(out.hidden)
    sizes.append((resident_bytes(), _bytes(state)))
    resident = tuple(size for size, _ in sizes if size is not None)
    return Stream(before, torch.stack([*inputs], 1), torch.stack([*outputs], 1), resident, (sizes[0][1], sizes[1][1]))


@torch.no_grad()
def _drift(backbone: Jamba, end: Stream, with_state: bool) -> Figures:
    """Largest difference of the last outputs to ``forward``: from the state before them, or from no state at all."""
    window = end.outputs.shape[1]
    if with_state:
        expected = backbone(end.inputs[:, -window:], end.before).hidden
    else:
        expected = backbone(end.inputs).hidden[:, -window:]
    difference = float((end.outputs - expected).abs().nan_to_num(torch.inf).max())
    return Figures(difference, details={"largest output": float(expected.abs().max())})


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM; None where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _bytes(state: State) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in state)
