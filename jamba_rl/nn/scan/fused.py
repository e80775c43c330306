"""The scan together with what surrounds it in a Mamba layer: softplus before it, the gate behind it."""

from torch import Tensor

from jamba_rl.kernels.scan import ScanInputs
from jamba_rl.nn.scan.check import check_scan
from jamba_rl.nn.scan.dispatch import run_scan


def mamba_scan(
    x: Tensor,
    z: Tensor,
    dt_raw: Tensor,
    dt_bias: Tensor,
    A_log: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    reset: Tensor | None = None,
    initial_state: Tensor | None = None,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Run the inner part of a Mamba layer, between its projections (Gu & Dao 2023, section 3.4), as one operation.

    ``y, final_state = selective_scan(x, softplus(dt_raw + dt_bias), -exp(A_log), B, C, D, reset, initial_state)``, then
    ``y * silu(z)``.

    Args:
        x: input ``[B,T,E]``, after convolution and SiLU.
        z: gate ``[B,T,E]``.
        dt_raw: ``[B,T,E]``, the projection of the step sizes without its bias.
        dt_bias: ``[E]``.
        A_log: ``[E,N]``.
        B: ``[B,T,N]``.
        C: ``[B,T,N]``.
        D: skip connection ``[E]``.
        reset: bool ``[B,T]``, true at the first step of a new episode, or None.
        initial_state: ``[B,E,N]``, or None for zeros.
        backend: as in :func:`selective_scan`.

    Returns:
        y ``[B,T,E]`` in the type of x, and the final state ``[B,E,N]`` in float32 (float64 for float64 input).

    Raises:
        ValueError: the shapes, types or devices do not fit each other, or the backend is unknown.
        RuntimeError: the backend is ``"cpu"`` and there is no kernel.
    """
    like_x, per_channel = (("z", z), ("dt_raw", dt_raw)), (("dt_bias", dt_bias), ("D", D))
    check_scan(x, A_log, like_x, (("B", B), ("C", C)), per_channel, reset, initial_state, steps=True)
    return run_scan(ScanInputs(x, dt_raw, A_log, B, C, D, z, dt_bias, initial_state, reset, True, True), backend)


def mamba_scan_step(
    x: Tensor,
    z: Tensor,
    dt_raw: Tensor,
    dt_bias: Tensor,
    A_log: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    state: Tensor,
    reset: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Advance :func:`mamba_scan` by one step: the same arguments without the time axis, state ``[B,E,N]`` not changed.

    Returns:
        y ``[B,E]`` and the new state ``[B,E,N]``.

    Raises:
        ValueError: the shapes, types or devices do not fit each other.
    """
    like_x, per_channel = (("z", z), ("dt_raw", dt_raw)), (("dt_bias", dt_bias), ("D", D))
    check_scan(x, A_log, like_x, (("B", B), ("C", C)), per_channel, reset, state, steps=False)
    return run_scan(ScanInputs(x, dt_raw, A_log, B, C, D, z, dt_bias, state, reset, True, True), "auto")
