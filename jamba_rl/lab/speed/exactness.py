"""The compiled scan in float32 against the plain loop in float64: values and all gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.row import Absent, Bar, Figures, Row, make_row
from jamba_rl.nn import selective_scan

BAR = Bar(1e-5)
LENGTHS = (1, 2, 3, 7, 64, 257, 1024)
USUAL_DT, LARGE_DT = (1e-3, 0.1), (0.6, 0.8)
RESET_RATE = 0.12


def exactness(effort: Effort, lengths: tuple[int, ...] = LENGTHS, channels: int = 19, states: int = 16) -> list[Row]:
    """Compare at every length, and once more at the longest with steps so large that old states fade at once.

    A relative error is the largest difference of a tensor's elements over the largest element.
    """
    cases = (
        (f"T in {', '.join(map(str, lengths))}", lengths, USUAL_DT),
        (f"T {max(lengths)}, dt around 0.7", (max(lengths),), LARGE_DT),
    )
    what = "largest relative error of values and all gradients, with resets, "
    return [
        make_row(
            "exactness",
            what + text,
            "loop in float64",
            BAR,
            lambda lengths=some, dt=dt: _worst(lengths, dt, channels, states),  # type: ignore[misc]
        )
        for text, some, dt in cases
    ]


def _worst(lengths: tuple[int, ...], dt: tuple[float, float], channels: int, states: int) -> Figures:
    details: dict[str, Any] = {}
    for steps in lengths:
        problem = _problem(steps, channels, states, dt)
        single = {k: v if v.dtype is torch.bool else v.float() for k, v in problem.items()}
        got, expected = _everything(single, "cpu"), _everything(problem, "reference")
        details[f"T={steps}"] = {name: relative_error(got[name], expected[name]) for name in expected}
    return Figures(max(max(errors.values()) for errors in details.values()), details=details)


def relative_error(got: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest expected element; infinite if anything is not finite."""
    error = (got.double() - expected.double()).abs().max() / expected.double().abs().max()
    return float(error.nan_to_num(torch.inf))


def _everything(problem: dict[str, Tensor], backend: str) -> dict[str, Tensor]:
    """Outputs, and the gradients of their random weighted sum for every float argument, by name."""
    leaves = {k: v.detach().requires_grad_() for k, v in problem.items() if v.dtype is not torch.bool}
    try:
        outputs = selective_scan(**leaves, reset=problem["reset"], backend=backend)
    except RuntimeError as error:
        raise Absent(str(error)) from error
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y.dtype) for y in outputs]
    gradients = torch.autograd.grad(outputs, list(leaves.values()), weights)
    named = {f"gradient of {k}": v for k, v in zip(leaves, gradients, strict=True)}
    return dict(zip(("y", "final state"), (y.detach() for y in outputs), strict=True)) | named


def _problem(steps: int, channels: int, states: int, dt: tuple[float, float], batch: int = 2) -> dict[str, Tensor]:
    """Arguments of ``selective_scan`` in float64, all of size one but dt, with a reset every eighth step or so."""
    generator = torch.Generator().manual_seed(steps)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    low, high = dt
    return {
        "x": normal(batch, steps, channels),
        "dt": low + (high - low) * uniform(batch, steps, channels),
        "A": -torch.arange(1, states + 1) * (0.5 + uniform(channels, states)),
        "B": normal(batch, steps, states),
        "C": normal(batch, steps, states),
        "D": normal(channels),
        "initial_state": normal(batch, channels, states),
        "reset": uniform(batch, steps) < RESET_RATE,
    }
