"""Random problems for the scan, and ways to compare two answers.

Letters of the shape suffixes: B batch, T time, E channels, N state size per channel.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jamba_rl.kernels import build

NAMES = ("x", "dt", "A", "B", "C", "D", "initial_state")


def _why_no_kernel() -> str | None:
    """Why there is rightly no kernel; None where there must be one, even if it cannot be built."""
    if build.library() is not None:
        return None
    if build.switched_off():
        return "kernels are switched off"
    try:
        build.find_compiler()
    except build.BuildError as error:
        return str(error)
    return None


needs_kernel = _why_no_kernel()


def scan_problem(
    time: int = 9,
    channels: int = 5,
    states: int = 4,
    batch: int = 2,
    dt: tuple[float, float] = (1e-3, 0.1),
    seed: int = 0,
) -> dict[str, Tensor]:
    """Arguments of ``selective_scan`` in float64, with dt in a range and a reset every eighth step or so."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64).requires_grad_()

    low, high = dt
    dt_BTE = low + (high - low) * torch.rand(batch, time, channels, generator=g, dtype=torch.float64)
    A_EN = -torch.arange(1, states + 1, dtype=torch.float64).repeat(channels, 1)
    return {
        "x": normal(batch, time, channels),
        "dt": dt_BTE.requires_grad_(),
        "A": (A_EN * (0.5 + torch.rand(A_EN.shape, generator=g))).requires_grad_(),
        "B": normal(batch, time, states),
        "C": normal(batch, time, states),
        "D": normal(channels),
        "reset": torch.rand(batch, time, generator=g) < 0.12,
        "initial_state": normal(batch, channels, states),
    }


def single(arguments: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same arguments in float32, as new leaves."""
    return {k: v if v.dtype is torch.bool else v.detach().float().requires_grad_() for k, v in arguments.items()}


def with_gradients(function: Callable[..., Sequence[Tensor]], arguments: dict[str, Tensor]) -> dict[str, Tensor]:
    """Outputs of a function, and the gradients of their random weighted sum for every float argument, by name."""
    outputs = function(**arguments)
    g = torch.Generator().manual_seed(1)
    weights = [torch.randn(y.shape, generator=g, dtype=torch.float64).to(y.dtype) for y in outputs]
    inputs = {k: v for k, v in arguments.items() if v.dtype is not torch.bool}
    gradients = torch.autograd.grad(outputs, list(inputs.values()), weights, materialize_grads=True)
    named = {f"output {i}": y.detach() for i, y in enumerate(outputs)}
    return named | {f"gradient of {k}": v for k, v in zip(inputs, gradients, strict=True)}


def assert_close(got: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    """Every tensor is finite, and as close to the expected one as a fraction of the latter's largest element.

    Problems are of size one: a tensor below one is a sum that cancels, whose rounding is that of its terms.
    """
    for name, right in expected.items():
        assert got[name].isfinite().all(), name
        error = float((got[name].double() - right.double()).abs().max() / right.double().abs().max().clamp_min(1.0))
        assert error <= tolerance, f"{name}: relative error {error:.1e}"
