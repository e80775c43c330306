"""Properties of the causal convolution."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import silu

from jamba_rl.nn.scan import causal_conv_silu
from tests.nn.scan.problems import assert_close, single, with_gradients


def conv_problem(time: int = 9, channels: int = 5, width: int = 4, batch: int = 2, seed: int = 0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    shapes = {
        "x": (batch, time, channels),
        "weight": (channels, width),
        "bias": (channels,),
        "conv_state": (batch, width - 1, channels),
    }
    problem = {k: torch.randn(s, generator=g, dtype=torch.float64).requires_grad_() for k, s in shapes.items()}
    return problem | {"reset": torch.rand(batch, time, generator=g) < 0.2}


def by_definition(x, weight, bias=None, conv_state=None, reset=None) -> tuple[Tensor, Tensor]:
    """Tap by tap, as the formula says."""
    (batch, time, channels), lags = x.shape, weight.shape[1] - 1
    zeros = x.new_zeros(channels)

    def seen(b: int, t: int, lag: int) -> Tensor:
        """The input `lag` steps before t, as step t sees it."""
        if reset is not None and reset[b, max(t - lag + 1, 0) : t + 1].any():
            return zeros
        if t - lag >= 0:
            return x[b, t - lag]
        return zeros if conv_state is None else conv_state[b, lags + t - lag]

    bias = zeros if bias is None else bias
    y = [
        [silu(bias + sum(weight[:, lags - lag] * seen(b, t, lag) for lag in range(lags + 1))) for t in range(time)]
        for b in range(batch)
    ]
    no_step = torch.zeros(batch, 1, dtype=torch.bool)  # the step after the last, which is no reset
    reset = None if reset is None else torch.cat([reset, no_step], 1)
    new = [[seen(b, time, lag) for lag in range(lags, 0, -1)] for b in range(batch)]
    return torch.stack([torch.stack(row) for row in y]), torch.stack([torch.stack(row) for row in new])


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 3),
    time=st.integers(1, 12),
    channels=st.integers(1, 35),
    width=st.integers(2, 6),
    absent=st.sets(st.sampled_from(["bias", "reset", "conv_state"])),
)
def test_equals_its_definition_in_values_and_all_gradients(batch, time, channels, width, absent):
    problem = {k: v for k, v in conv_problem(time, channels, width, batch).items() if k not in absent}
    problem = {k: v for k, v in problem.items() if v.numel()}
    expected = with_gradients(by_definition, problem)
    assert_close(with_gradients(causal_conv_silu, problem), expected, 1e-10)
    assert_close(with_gradients(causal_conv_silu, single(problem)), expected, 1e-5)


def test_a_filter_of_width_one_sees_the_present_only():
    problem = conv_problem(width=1)
    y, state = causal_conv_silu(**problem)
    torch.testing.assert_close(y, silu(problem["x"] * problem["weight"][:, 0] + problem["bias"]))
    assert state.shape == (2, 0, 5)
    torch.testing.assert_close(causal_conv_silu(**single(problem))[0].double(), y, rtol=1e-5, atol=1e-5)


def test_steps_and_chunks_equal_the_whole():
    problem = single(conv_problem(40, channels=20))
    whole, last = causal_conv_silu(**problem)
    x, reset, weight, bias = (problem[k] for k in ("x", "reset", "weight", "bias"))
    chunked, stepped = problem["conv_state"], problem["conv_state"].detach()
    for first, end in ((0, 2), (2, 3), (3, 40)):
        y, chunked = causal_conv_silu(x[:, first:end], weight, bias, chunked, reset[:, first:end])
        torch.testing.assert_close(y, whole[:, first:end])
    for t in range(40):
        with torch.no_grad():
            y, stepped = causal_conv_silu(x[:, t], weight, bias, stepped, reset[:, t])
        torch.testing.assert_close(y, whole[:, t])
    torch.testing.assert_close(chunked, last)
    torch.testing.assert_close(stepped, last)


def test_a_step_can_be_differentiated():
    problem = {k: v[:, :1] if k in ("x", "reset") else v for k, v in conv_problem().items()}
    expected = with_gradients(by_definition, problem)
    step = {k: v[:, 0] if k in ("x", "reset") else v for k, v in single(problem).items()}
    expected |= {k: expected[k][:, 0] for k in ("output 0", "gradient of x")}
    assert_close(with_gradients(causal_conv_silu, step), expected, 1e-5)


def test_half_of_a_projection_is_read_in_place():
    problem = single(conv_problem())
    xz = torch.cat([problem["x"], problem["x"]], -1).detach()
    y, _ = causal_conv_silu(**problem | {"x": xz[..., :5]})
    torch.testing.assert_close(y, causal_conv_silu(**problem)[0])


def test_bfloat16_comes_back_as_bfloat16_with_a_float32_state():
    problem = single(conv_problem())
    half = problem | {"x": problem["x"].bfloat16()}
    y, state = causal_conv_silu(**half)
    assert y.dtype is torch.bfloat16
    assert state.dtype is torch.float32
    torch.testing.assert_close(y.float(), causal_conv_silu(**problem)[0], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("threads", [1, 3])
def test_same_inputs_same_bits(threads, monkeypatch):
    monkeypatch.setattr("jamba_rl.kernels.conv.thread_count", lambda work: threads)
    problem = single(conv_problem(30, channels=70))
    first, second = with_gradients(causal_conv_silu, problem), with_gradients(causal_conv_silu, problem)
    assert all(torch.equal(first[name], second[name]) for name in first)
