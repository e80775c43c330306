"""Properties of what is fused around the scan: softplus and gate, and the whole inner part of a Mamba layer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import linear, rms_norm, silu, softplus

from jamba_rl.nn.scan import InnerWeights, causal_conv_silu, mamba_inner, mamba_scan, mamba_scan_step, selective_scan
from tests.nn.scan.problems import assert_close, needs_kernel, scan_problem, single, with_gradients

WEIGHTS = set(InnerWeights._fields)


def fused_problem(time: int, channels: int, states: int, batch: int = 2) -> dict[str, Tensor]:
    """Arguments of ``mamba_scan`` in float64."""
    problem = scan_problem(time, channels, states, batch)
    g = torch.Generator().manual_seed(2)
    extra = {
        "z": torch.randn(batch, time, channels, generator=g, dtype=torch.float64),
        "dt_raw": 3 * torch.randn(batch, time, channels, generator=g, dtype=torch.float64),
        "dt_bias": torch.linspace(-7, 1, channels, dtype=torch.float64),
        "A_log": problem.pop("A").neg().log().detach(),
    }
    del problem["dt"]
    return problem | {k: v.requires_grad_() for k, v in extra.items()}


def from_parts(x, z, dt_raw, dt_bias, A_log, B, C, D, reset=None, initial_state=None):
    dt = softplus(dt_raw + dt_bias)
    y, state = selective_scan(x, dt, -torch.exp(A_log), B, C, D, reset, initial_state, backend="reference")
    return y * silu(z), state


@pytest.mark.parametrize("backend", ["auto", "reference", "torch"])
@pytest.mark.parametrize("time", [1, 2, 33, 257])
def test_softplus_scan_and_gate_equal_their_parts(time, backend):
    problem = fused_problem(time, 19, 16)
    got = with_gradients(lambda **kwargs: mamba_scan(**kwargs, backend=backend), single(problem))
    assert_close(got, with_gradients(from_parts, problem), 1e-5)


def test_softplus_is_exact_from_tiny_to_huge():
    values, one = torch.linspace(-80, 80, 161), torch.ones(1, 161, 1)
    alone = torch.ones(1, 161, dtype=torch.bool)  # a reset at every step and a gate of 30 leave y = 30 softplus(v)
    y, _ = mamba_scan(one, 30 * one, values.reshape(1, 161, 1), one[0, 0], one[0, :1], one, one, 0 * one[0, 0], alone)
    torch.testing.assert_close(y.flatten() / 30, softplus(values + 1), rtol=1e-5, atol=1e-37)


@pytest.mark.parametrize("states", [5, 16])
def test_fused_steps_equal_the_whole(states):
    problem = single(fused_problem(10, 18, states))
    with torch.no_grad():
        whole, last = mamba_scan(**problem)
        state = problem.pop("initial_state")
        for t in range(10):
            now = {k: v[:, t] if v.dim() == 3 or v.dtype is torch.bool else v for k, v in problem.items()}
            y, state = mamba_scan_step(**now, state=state)
            torch.testing.assert_close(y, whole[:, t], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(state, last, rtol=1e-5, atol=1e-6)


def inner_problem(time=7, channels=18, states=4, rank=2, width=4, norms=True, batch=2, pairs=0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(3)
    shapes = {
        "xz": (batch, time, 2 * channels),
        "conv_weight": (channels, width),
        "conv_bias": (channels,),
        "x_proj": (rank + 2 * states, channels),
        "dt_proj": (channels, rank),
        "dt_bias": (channels,),
        "A_log": (channels, states - pairs),  # the states of a pair decay alike
        "D": (channels,),
        "conv_state": (batch, width - 1, channels),
        "ssm_state": (batch, channels, states),
    }
    if norms:
        shapes |= {"dt_norm": (rank,), "B_norm": (states,), "C_norm": (states,)}
    if pairs:
        shapes["angle_proj"] = (pairs, channels)
    problem = {k: torch.randn(s, generator=g, dtype=torch.float64).requires_grad_() for k, s in shapes.items()}
    return problem | {"reset": torch.rand(batch, time, generator=g) < 0.15}


def run_inner(**problem: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    weights = InnerWeights(**{k: v for k, v in problem.items() if k in WEIGHTS})
    return mamba_inner(weights=weights, **{k: v for k, v in problem.items() if k not in WEIGHTS})


def inner_from_parts(xz, conv_weight, conv_bias, x_proj, dt_proj, dt_bias, A_log, D, reset, **rest):
    """The layer as the papers write it."""
    A_log = torch.cat([A_log[:, : len(rest.get("angle_proj", ()))], A_log], 1)
    (E, N), R = A_log.shape, dt_proj.shape[1]
    x, conv_state = causal_conv_silu(xz[..., :E], conv_weight, conv_bias, rest.get("conv_state"), reset)
    dt, B, C = linear(x, x_proj).split([R, N, N], -1)
    if "dt_norm" in rest:
        dt, B, C = (
            rms_norm(v, v.shape[-1:], rest[k], 1e-6) for k, v in (("dt_norm", dt), ("B_norm", B), ("C_norm", C))
        )
    if "angle_proj" in rest:
        angles = torch.pi * torch.tanh(linear(x, rest["angle_proj"]) / 2)
        y, state = turning_scan(x, linear(dt, dt_proj) + dt_bias, A_log, B, C, D, angles, reset, rest.get("ssm_state"))
        return y * silu(xz[..., E:]), conv_state, state
    y, state = from_parts(x, xz[..., E:], linear(dt, dt_proj), dt_bias, A_log, B, C, D, reset, rest.get("ssm_state"))
    return y, conv_state, state


def turning_scan(x, dt_raw, A_log, B, C, D, angles, reset, state):
    """Pairs of states as complex numbers, one step after the other."""
    Q, dt, rates = angles.shape[-1], softplus(dt_raw), A_log.exp()
    h = x.new_zeros(x.shape[0], *A_log.shape) if state is None else state
    outputs = []
    for t in range(x.shape[1]):
        h = h.masked_fill(reset[:, t, None, None], 0.0)
        point = torch.complex(h[..., :Q], h[..., Q : 2 * Q]) * torch.exp(1j * angles[:, t, None])
        h = torch.cat([point.real, point.imag, h[..., 2 * Q :]], -1)
        h = h * torch.exp(-dt[:, t, :, None] * rates) + (dt[:, t] * x[:, t])[..., None] * B[:, t, None]
        outputs.append((h * C[:, t, None]).sum(-1) + D * x[:, t])
    return torch.stack(outputs, 1), h


@settings(max_examples=30, deadline=None)
@given(
    time=st.integers(1, 40),
    channels=st.integers(1, 40),
    states=st.integers(1, 20),
    rank=st.integers(1, 6),
    width=st.integers(2, 5),
    norms=st.booleans(),
    states_given=st.booleans(),
    pairs=st.integers(0, 10),
)
def test_inner_part_equals_its_parts_in_values_and_all_gradients(
    time, channels, states, rank, width, norms, states_given, pairs
):
    problem = inner_problem(time, channels, states, rank, width, norms, pairs=min(pairs, states // 2))
    if not states_given:
        del problem["conv_state"], problem["ssm_state"]
    expected = with_gradients(inner_from_parts, problem)
    assert_close(with_gradients(run_inner, problem), expected, 1e-9)
    if norms and min(rank, states) == 1:
        return  # the norm of one number is its sign: no gradient is left, only rounding
    # the gradient of an angle is a sum over all that comes after it
    assert_close(with_gradients(run_inner, single(problem)), expected, 1e-4 if pairs else 3e-5)


def test_a_pair_that_turns_says_odd_from_even():
    bits = torch.rand(1, 500, generator=torch.Generator().manual_seed(0)) < 0.5
    one = torch.ones(1, 500)
    weights = InnerWeights(
        conv_weight=torch.ones(2, 1), conv_bias=None, dt_proj=torch.zeros(2, 1), dt_bias=torch.full((2,), -30.0),
        A_log=torch.zeros(2, 1), D=torch.zeros(2), angle_proj=torch.tensor([[0.0, 100.0]]),  # half a turn for a one
        x_proj=torch.tensor([[0.0, 0.0]] * 3 + [[1.0, 0.0], [0.0, 0.0]]),  # C reads the first of the pair
    )  # fmt: skip
    xz = torch.stack([one, bits.float(), one, one], -1)
    y, *_ = mamba_inner(xz, weights, ssm_state=torch.tensor([[[1.0, 0.0]]]).expand(1, 2, 2))
    assert torch.equal(y[0, :, 0] < 0, bits[0].cumsum(0) % 2 == 1)


@pytest.mark.parametrize("pairs", [0, 3, 8])
def test_inner_steps_equal_the_whole(pairs):
    problem = single(inner_problem(12, states=16, pairs=pairs))
    with torch.no_grad():
        whole, *last = run_inner(**problem)
        states = [problem["conv_state"], problem["ssm_state"]]
        for t in range(12):
            now = problem | {k: problem[k][:, t] for k in ("xz", "reset")}
            y, *states = run_inner(**now | {"conv_state": states[0], "ssm_state": states[1]})
            torch.testing.assert_close(y, whole[:, t], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(states, last, rtol=1e-5, atol=1e-5)


def test_an_inner_step_can_be_differentiated_and_start_from_nothing():
    problem = inner_problem(1)
    del problem["conv_state"], problem["ssm_state"]
    expected = with_gradients(run_inner, problem)
    now = {k: v[:, 0] if k in ("xz", "reset") else v for k, v in single(problem).items()}
    got = with_gradients(run_inner, now)
    expected |= {k: expected[k][:, 0] for k in ("output 0", "gradient of xz")}
    assert_close(got, expected, 1e-5)


def test_inner_part_under_autocast_keeps_its_state_in_float32():
    problem = single(inner_problem())
    expected = run_inner(**problem)
    with torch.autocast("cpu"):
        y, conv_state, ssm_state = run_inner(**problem | {"xz": problem["xz"].bfloat16()})
    assert y.dtype is torch.bfloat16
    assert conv_state.dtype is ssm_state.dtype is torch.float32
    torch.testing.assert_close(y.float(), expected[0], rtol=0.1, atol=0.3)
    y.sum().backward()


@pytest.mark.skipif(bool(needs_kernel), reason=str(needs_kernel))
def test_backward_under_autocast_is_the_same():
    problem = single(inner_problem())
    outside = with_gradients(run_inner, problem)
    outputs = run_inner(**problem)
    with torch.autocast("cpu"):
        again = with_gradients(lambda **_: outputs, problem)
    assert_close(again, outside, 1e-6)
