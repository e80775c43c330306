"""The dense feed-forward: against its formula, and few rows in one call."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from jamba_rl.nn import JambaConfig
from jamba_rl.nn.feedforward import FeedForward, activate
from tests.nn.changes import every_change
from tests.nn.scan.problems import needs_kernel

compiles = pytest.mark.skipif(bool(needs_kernel), reason=str(needs_kernel))
ACTS = ["swiglu", "gelu", "silu"]


def layer(d_model: int = 8, seed: int = 0, **options) -> FeedForward:
    torch.manual_seed(seed)
    return FeedForward(JambaConfig(d_model=d_model, pattern="N", num_heads=1, **options))


def in_parts(model: FeedForward, x: Tensor) -> Tensor:
    return model.out_proj(activate(model.in_proj(x), model.act))


def test_swiglu_has_its_gate_in_the_first_rows():
    model = layer(ffn_mult=1.5)
    x = torch.randn(2, 3, 8)
    gate, up = model.in_proj.weight[:12], model.in_proj.weight[12:]
    torch.testing.assert_close(model(x), (F.silu(x @ gate.T) * (x @ up.T)) @ model.out_proj.weight.T)


@pytest.mark.parametrize(("act", "function"), [("gelu", F.gelu), ("silu", F.silu)])
def test_without_a_gate_it_is_two_linear_maps_and_a_function(act, function):
    model = layer(ffn_mult=1.5, ffn_act=act, ffn_bias=True)
    x = torch.randn(4, 8)
    assert model.in_proj.weight.shape == (12, 8)
    torch.testing.assert_close(model(x), model.out_proj(function(model.in_proj(x))))


@pytest.mark.parametrize("bias", [False, True])
def test_names_of_its_parameters(bias):
    names = {name for name, _ in layer(ffn_bias=bias).named_parameters()}
    biases = {"in_proj.bias", "out_proj.bias"} if bias else set()
    assert names == {"in_proj.weight", "out_proj.weight"} | biases


# ---------------------------------------------------------------- few rows, without a graph


@settings(deadline=None, max_examples=80)
@given(
    batch=st.one_of(st.integers(1, 9), st.sampled_from([255, 256, 257])),
    d_model=st.integers(1, 40),
    hidden=st.integers(1, 70),
    act=st.sampled_from(ACTS),
    bias=st.booleans(),
    seed=st.integers(0, 9),
)
def test_rows_equal_the_parts_in_float64(batch, d_model, hidden, act, bias, seed):
    model = layer(d_model, seed, ffn_mult=hidden / d_model, ffn_act=act, ffn_bias=bias)
    x = torch.randn(batch, d_model) * 3
    before = x.clone()
    with torch.no_grad():
        double = copy.deepcopy(model).double()
        y, expected = model(x), in_parts(double, x.double())
        hidden = activate(double.in_proj(x.double()), act)
        size = hidden.abs() @ double.out_proj.weight.abs().t()  # of what is added up: a sum of few may nearly vanish
    assert (y.shape, y.dtype) == (x.shape, torch.float32)
    assert (y.double() - expected).abs().max() <= 1e-5 * size.max().clamp_min(0.1)
    assert torch.equal(x, before)


@pytest.mark.parametrize(("act", "function"), [("gelu", F.gelu), ("silu", F.silu)])
def test_activations_are_exact_over_their_whole_range(act, function):
    model = layer(1, ffn_mult=1, ffn_act=act)
    x = torch.cat((torch.linspace(-15, 15, 251), torch.tensor([0.0, 1e-30, 1e4, -1e4])))[:, None]
    with torch.no_grad():
        model.in_proj.weight.fill_(1)
        model.out_proj.weight.fill_(1)
        torch.testing.assert_close(model(x).double(), function(x.double()), rtol=1e-6, atol=1e-6)
        assert model(torch.full((1, 1), torch.nan)).isnan().all()


@compiles
@pytest.mark.parametrize("act", ACTS)
def test_without_a_graph_it_is_one_call(act, monkeypatch):
    model = layer(ffn_act=act)
    monkeypatch.setattr("jamba_rl.nn.feedforward.activate", None)
    with torch.no_grad():
        model(torch.randn(4, 8))
    model.requires_grad_(False)(torch.randn(4, 8))


def test_with_a_graph_or_where_it_does_not_fit_it_is_not(monkeypatch):
    monkeypatch.setattr("jamba_rl.nn.feedforward.kernel_feedforward", None)
    model, x = layer(), torch.randn(4, 8, requires_grad=True)
    model(x.detach()).sum().backward()
    model.requires_grad_(False)(x).sum().backward()
    assert model.in_proj.weight.grad.abs().sum() > 0
    assert x.grad.abs().sum() > 0
    with torch.no_grad():
        for shape in ((8,), (2, 3, 8), (0, 8), (1000, 8)):
            assert model(torch.randn(*shape)).shape == shape
        with torch.autocast("cpu", torch.bfloat16):
            assert model(x).dtype is torch.bfloat16
        for dtype in (torch.float64, torch.bfloat16):
            assert model.to(dtype)(x.to(dtype)).dtype is dtype
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            layer()(torch.randn(4, 7))


@every_change
def test_it_sees_what_has_become_of_its_parameters(change):
    model, x = layer(ffn_bias=True), torch.randn(4, 8)
    with torch.no_grad():
        model(x)
        change(model, layer(seed=1, ffn_bias=True))
        torch.testing.assert_close(model(x), in_parts(model, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_share_the_rows_and_strides_do_not_matter(threads, monkeypatch):
    model = layer(ffn_bias=True)
    monkeypatch.setattr("jamba_rl.kernels.feedforward.thread_count", lambda work: threads)
    for x in (torch.randn(7, 8), torch.randn(8, 7).t(), torch.randn(7, 3, 8)[:, 1], torch.randn(1, 8).expand(7, 8)):
        with torch.no_grad():
            torch.testing.assert_close(model(x), in_parts(model, x), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_compiled_it_is_the_same():
    model, x = layer(), torch.randn(4, 8)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-6)
