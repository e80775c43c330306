"""The selective scan of Mamba by itself: over a sequence, and one step of it."""

from torch import Tensor

from jamba_rl.kernels.scan import ScanInputs
from jamba_rl.nn.scan.check import check_scan
from jamba_rl.nn.scan.dispatch import run_scan


def selective_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    reset: Tensor | None = None,
    initial_state: Tensor | None = None,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Run the selective state space model of Mamba over a sequence (Gu & Dao 2023, algorithm 2).

    ``h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t`` and ``y_t = h_t C_t + D x_t``, where ``h_{t-1}`` is zero if
    ``reset_t``.

    Args:
        x: input ``[B,T,E]``.
        dt: step sizes ``[B,T,E]``, already positive.
        A: ``[E,N]``, negative.
        B: ``[B,T,N]``.
        C: ``[B,T,N]``.
        D: skip connection ``[E]``, or None.
        reset: bool ``[B,T]``, true at the first step of a new episode, or None.
        initial_state: ``[B,E,N]``, or None for zeros.
        backend: ``"reference"`` (a loop that can be differentiated twice), ``"torch"`` (linear time, anywhere),
            ``"cpu"`` (the compiled kernel), or ``"auto"``: the kernel where it applies, else ``"torch"``.

    Returns:
        y ``[B,T,E]`` in the type of x, and the final state ``[B,E,N]`` in float32 (float64 for float64 input).

    Raises:
        ValueError: the shapes, types or devices do not fit each other, or the backend is unknown.
        RuntimeError: the backend is ``"cpu"`` and there is no kernel.
    """
    check_scan(x, A, (("dt", dt),), (("B", B), ("C", C)), (("D", D),), reset, initial_state, steps=True)
    return run_scan(ScanInputs(x, dt, A, B, C, D, None, None, initial_state, reset, False, False), backend)


def selective_scan_step(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    state: Tensor,
    reset: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Advance :func:`selective_scan` by one step.

    Args:
        x: input ``[B,E]``.
        dt: step sizes ``[B,E]``, already positive.
        A: ``[E,N]``, negative.
        B: ``[B,N]``.
        C: ``[B,N]``.
        D: skip connection ``[E]``, or None.
        state: ``[B,E,N]``; not changed.
        reset: bool ``[B]``, true where this step begins a new episode, or None.

    Returns:
        y ``[B,E]`` and the new state ``[B,E,N]``.

    Raises:
        ValueError: the shapes, types or devices do not fit each other.
    """
    check_scan(x, A, (("dt", dt),), (("B", B), ("C", C)), (("D", D),), reset, state, steps=False)
    return run_scan(ScanInputs(x, dt, A, B, C, D, None, None, state, reset, False, False), "auto")
