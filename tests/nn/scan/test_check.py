"""Bad input is a ValueError that says what was given and what is allowed."""

import pytest
import torch

from jamba_rl.nn.scan import causal_conv_silu, mamba_inner, selective_scan, selective_scan_step
from tests.nn.scan.problems import scan_problem, single
from tests.nn.scan.test_inner import WEIGHTS, InnerWeights, inner_problem


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "x",
            torch.zeros(2, 9, 5, dtype=torch.int64),
            r"x must be a float tensor .* got torch.int64 \[2, 9, 5\] on cpu",
        ),
        ("x", torch.zeros(2, 5), r"x must be \[batch, time, channels\], got torch.float32 \[2, 5\] on cpu"),
        ("x", torch.zeros(2, 0, 5), r"x must be a float tensor .* got torch.float32 \[2, 0, 5\] on cpu"),
        ("dt", torch.zeros(2, 8, 5), r"dt must be \[2, 9, 5\] to go with x \[2, 9, 5\], got torch.float32 \[2, 8, 5\]"),
        ("A", torch.zeros(4, 5), r"A must be \[5 channels, states\]"),
        ("B", torch.zeros(2, 9, 3), r"B must be \[2, 9, 4\]"),
        ("C", torch.zeros(2, 9, 4).double(), r"C must have the type and device of x, torch.float32 on cpu"),
        (
            "D",
            torch.zeros(5, device="meta"),
            r"D must have the type and device of x, .* got torch.float32 \[5\] on meta",
        ),
        ("reset", torch.zeros(2, 9), r"reset must be bool \[2, 9\] on cpu, got torch.float32 \[2, 9\]"),
        ("reset", torch.zeros(9, 2, dtype=torch.bool), r"reset must be bool \[2, 9\]"),
        ("initial_state", torch.zeros(2, 4, 5), r"state must be \[2, 5, 4\]"),
        ("backend", "cup", r"unknown backend 'cup'; nearest: cpu, "),
    ],
)
def test_scan_says_what_is_wrong(name, value, message):
    with pytest.raises(ValueError, match=message):
        selective_scan(**single(scan_problem()) | {name: value})


def test_kernel_is_asked_for_float32_only():
    with pytest.raises(ValueError, match=r"computes in float32 on the CPU, got torch.float64"):
        selective_scan(**scan_problem(), backend="cpu")


def test_step_takes_no_time_axis():
    problem = single(scan_problem())
    with pytest.raises(ValueError, match=r"x must be \[batch, channels\], got torch.float32 \[2, 9, 5\]"):
        selective_scan_step(*(problem[k] for k in ("x", "dt", "A", "B", "C", "D", "initial_state")))


def test_convolution_says_what_is_wrong():
    x = torch.zeros(2, 9, 5)
    with pytest.raises(ValueError, match=r"weight must be \[5 channels, width of 1 to 32\], got .* \[4, 4\]"):
        causal_conv_silu(x, torch.zeros(4, 4))
    with pytest.raises(ValueError, match=r"conv_state must be \[2, 3, 5\]"):
        causal_conv_silu(x, torch.zeros(5, 4), None, torch.zeros(2, 4, 5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"xz": torch.zeros(2, 7, 18)}, "must go with xz, twice as many channels"),
        ({"x_proj": torch.zeros(10, 17)}, r"x_proj must be \[10, 18\]"),
        ({"dt_norm": None}, "dt_norm, B_norm and C_norm go together, got 2 of them"),
        ({"ssm_state": torch.zeros(2, 18, 5)}, r"ssm_state must be \[2, 18, 4\]"),
    ],
)
def test_inner_part_says_what_is_wrong(changes, message):
    problem = single(inner_problem()) | changes
    weights = InnerWeights(**{k: v for k, v in problem.items() if k in WEIGHTS})
    with pytest.raises(ValueError, match=message):
        mamba_inner(weights=weights, **{k: v for k, v in problem.items() if k not in WEIGHTS})
