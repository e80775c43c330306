"""The Mamba layer: its options, its one-step kernel, its types, and torch.compile."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import linear, rms_norm, silu, softplus

from jamba_rl.nn.config import JambaConfig
from jamba_rl.nn.mamba import Mamba
from jamba_rl.nn.mixer import State
from tests.nn.changes import AddOne, add_one
from tests.nn.scan.problems import assert_close, needs_kernel, with_gradients

compiles = pytest.mark.skipif(bool(needs_kernel), reason=str(needs_kernel))
# Where torch.compile looks into a tensor it hides this warning, but not from pytest, which makes it an error first.
compiling = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
PLAIN, OPTIONS = {"mamba_norms": False, "rotations": 0}, {"mamba_norms": True, "mamba_bias": True, "rotations": 0}
every_option = pytest.mark.parametrize(
    "options", [PLAIN, OPTIONS, PLAIN | {"conv_bias": False}], ids=["plain", "all", "bare"]
)


def layer(d_model: int = 16, seed: int = 0, **options) -> Mamba:
    """A layer in which no parameter stays at one or zero."""
    torch.manual_seed(seed)
    model = Mamba(JambaConfig(d_model=d_model, pattern="M", **options))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name == "D" or "norm" in name:
                parameter.normal_()
    return model


def used_state(model: Mamba, batch: int) -> State:
    torch.manual_seed(7)
    return tuple(torch.randn_like(part) for part in model.initial_state(batch))


def sequence(batch: int = 3, time: int = 9, d_model: int = 16) -> tuple[Tensor, Tensor]:
    torch.manual_seed(8)
    return torch.randn(batch, time, d_model), torch.rand(batch, time) < 0.2


def relative_error(got: Tensor, expected: Tensor) -> float:
    if not expected.numel():
        return 0.0
    return float((got.double() - expected).abs().max() / expected.abs().max().clamp_min(1e-3))


# ---------------------------------------------------------------- what the layer computes


def test_optional_parameters_are_those_of_jamba():
    shapes = {name: tuple(parameter.shape) for name, parameter in layer(32, **OPTIONS).named_parameters()}
    assert shapes == {
        "A_log": (64, 16), "D": (64,), "in_proj.weight": (128, 32), "in_proj.bias": (128,), "conv1d.weight": (64, 1, 4),
        "conv1d.bias": (64,), "x_proj.weight": (34, 64), "dt_proj.weight": (64, 2), "dt_proj.bias": (64,),
        "out_proj.weight": (32, 64), "out_proj.bias": (32,), "dt_layernorm.weight": (2,), "b_layernorm.weight": (16,),
        "c_layernorm.weight": (16,),
    }  # fmt: skip
    assert (
        not {"conv1d.bias", "in_proj.bias", "dt_layernorm.weight"}
        & dict(layer(conv_bias=False, mamba_norms=False).named_parameters()).keys()
    )


def test_pairs_that_turn_have_angles_and_decay_as_one():
    shapes = {name: tuple(parameter.shape) for name, parameter in layer(32, rotations=3).named_parameters()}
    without = {name: tuple(parameter.shape) for name, parameter in layer(32, rotations=0).named_parameters()}
    assert shapes == without | {"A_log": (64, 13), "angle_proj.weight": (3, 64)}
    assert JambaConfig(d_state=16).rotations == 4


@every_option
def test_initialisation_can_be_repeated(options):
    model = layer(64, dt_min=1e-3, dt_max=0.1, decay_min=None, **options)
    with torch.no_grad():
        for parameter in (model.A_log, model.D, model.dt_proj.bias):
            parameter.zero_()
    model.reset_parameters()
    dt = softplus(model.dt_proj.bias)
    assert 0.99e-3 <= dt.min() < dt.max() <= 0.101
    torch.testing.assert_close(model.A_log.exp()[3], torch.arange(1.0, 17.0))
    assert torch.equal(model.D, torch.ones(128))


def test_slow_decays_lie_between_their_least_and_one_in_equal_ratios():
    rates = layer(64, decay_min=0.01, d_state=5, rotations=0).A_log.exp()[7]
    torch.testing.assert_close(rates, torch.tensor([0.01, 0.1**1.5, 0.1, 0.1**0.5, 1.0]))
    of_pairs_and_others = layer(64, decay_min=0.01, d_state=9, rotations=2).A_log.exp()[7]
    torch.testing.assert_close(of_pairs_and_others, torch.cat([torch.tensor([0.01, 1.0]), rates]))


def test_what_slow_states_add_up_does_not_drown_all_else():
    torch.manual_seed(0)
    model, x = layer(64, rotations=0), torch.randn(8, 1000, 64) / 2 + torch.randn(64) / 2

    def size_after_an_episode():
        return model(x, None)[0][:, -100:].square().mean().sqrt().item()

    with torch.no_grad():
        weighed = size_after_an_episode()
        model.b_layernorm.weight.fill_(1.0)
        assert weighed < 0.5 * size_after_an_episode()


def test_slow_decays_and_norms_let_a_long_past_through():
    def trace_left(**options):
        torch.manual_seed(0)
        model = Mamba(JambaConfig.preset("mamba", d_model=64, **options))
        x = torch.randn(1, 200, 64).expand(2, -1, -1).clone()
        x[1, 0] = -x[0, 0]
        one, other = model(x, None)[0][:, -1]
        return ((one - other).norm() / one.norm()).item()

    ours = JambaConfig()
    slow = {name: getattr(ours, name) for name in ("dt_min", "dt_max", "decay_min")}
    assert trace_left(mamba_norms=True, **slow) > 5 * trace_left(mamba_norms=True)
    assert trace_left(mamba_norms=True, **slow) > 300 * trace_left()


def as_published(model: Mamba, u: Tensor) -> Tensor:
    """The formulas of the Jamba of transformers for one sequence (T, D) from nothing, one step after the other."""
    (E, N), R, W = model.A_log.shape, model.dt_proj.weight.shape[1], model.config.d_conv
    xs, z = model.in_proj(u).split(E, -1)
    bias = 0.0 if model.conv1d.bias is None else model.conv1d.bias
    h, ys = torch.zeros(E, N, dtype=u.dtype), []
    for t in range(len(u)):
        taps = [model.conv1d.weight[:, 0, W - 1 - lag] * xs[t - lag] for lag in range(min(W, t + 1))]
        x = silu(bias + sum(taps))
        dt, B, C = linear(x, model.x_proj.weight).split([R, N, N], -1)
        if model.config.mamba_norms:
            eps = model.config.norm_eps
            dt = rms_norm(dt, (R,), model.dt_layernorm.weight, eps)
            B, C = (rms_norm(v, (N,), m.weight, eps) for v, m in ((B, model.b_layernorm), (C, model.c_layernorm)))
        dt = softplus(model.dt_proj(dt))
        h = torch.exp(-dt[:, None] * torch.exp(model.A_log)) * h + (dt * x)[:, None] * B
        ys.append(h @ C + model.D * x)
    return model.out_proj(torch.stack(ys) * silu(z))


@every_option
def test_equals_the_published_formulas_in_values_and_all_gradients(options):
    single = layer(32, **options)
    double = copy.deepcopy(single).double()
    x, _ = sequence(batch=1, d_model=32)

    def run(model: Mamba, function, x: Tensor) -> dict[str, Tensor]:
        arguments = {"x": x.requires_grad_()} | dict(model.named_parameters())
        return with_gradients(lambda x, **_: (function(model, x),), arguments)

    expected = run(double, lambda model, x: as_published(model, x[0])[None], x.double())
    got = run(single, lambda model, x: model(x, model.initial_state(1))[0], x.clone())
    assert_close(got, expected, 1e-5)


# ---------------------------------------------------------------- one step


@settings(deadline=None, max_examples=60)
@given(
    batch=st.integers(1, 6),
    d_model=st.integers(1, 40),
    expand=st.sampled_from([1, 1.5, 2]),
    d_state=st.sampled_from([1, 3, 4, 5, 8, 16, 20, 32, 40, 64, 65]),
    d_conv=st.integers(1, 6),
    dt_rank=st.integers(1, 20),
    norms=st.booleans(),
    mamba_bias=st.booleans(),
    conv_bias=st.booleans(),
    resets=st.booleans(),
)
def test_a_step_without_a_graph_equals_the_parts_in_float64(
    batch, d_model, expand, d_state, d_conv, dt_rank, norms, mamba_bias, conv_bias, resets
):
    sizes = {"expand": expand, "d_state": d_state, "d_conv": d_conv, "dt_rank": dt_rank}
    norms = norms and min(d_state, dt_rank) > 1  # the norm of one number is its sign
    model = layer(d_model, mamba_norms=norms, mamba_bias=mamba_bias, conv_bias=conv_bias, **sizes)
    double = copy.deepcopy(model).double()
    state, (x, reset) = used_state(model, batch), (part[:, 0] for part in sequence(batch, 1, d_model))
    before = [part.clone() for part in state]
    with torch.no_grad():
        y, new = model.step(x, state, reset if resets else None)
        wide = tuple(part.double() for part in state)
        expected, expected_new = double.step(x.double(), wide, reset if resets else None)
    assert y.dtype is new[0].dtype is new[1].dtype is torch.float32
    for got, right in zip((y, *new), (expected, *expected_new), strict=True):
        assert got.shape == right.shape
        assert relative_error(got, right) <= 1e-5
    assert all(torch.equal(part, copied) for part, copied in zip(state, before, strict=True))


@compiles
def test_a_step_without_a_graph_is_one_call(monkeypatch):
    model = layer(**OPTIONS)
    monkeypatch.setattr(model, "forward", None)
    x, reset = sequence()
    with torch.no_grad():
        model.step(x[:, 0], model.initial_state(3), reset[:, 0])
    model.requires_grad_(False).step(x[:, 0], model.initial_state(3))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_share_the_rows_of_a_batch(threads, monkeypatch):
    model = layer(**OPTIONS)
    x, reset = (part[:, 0] for part in sequence(batch=7))
    state = used_state(model, 7)
    with torch.no_grad():
        expected = model.forward(x, state, reset)
        monkeypatch.setattr("jamba_rl.kernels.mamba_step.thread_count", lambda work: threads)
        torch.testing.assert_close(model.step(x, state, reset), expected, rtol=1e-5, atol=1e-6)


@compiles
def test_a_reset_forgets_states_that_are_not_finite():
    model = layer()
    x, _ = (part[:, 0] for part in sequence())
    spoilt = tuple(torch.full_like(part, float("nan")) for part in model.initial_state(3))
    with torch.no_grad():
        got = model.step(x, spoilt, torch.ones(3, dtype=torch.bool))
        torch.testing.assert_close(got, model.step(x, model.initial_state(3)))


def test_strides_do_not_matter():
    model = layer()
    x, reset = sequence()
    state = used_state(model, 3)
    apart = tuple(torch.stack([part, part], -1)[..., 0] for part in state)
    assert not any(part.is_contiguous() for part in (x[:, 2], reset[:, 2], *apart))
    with torch.no_grad():
        expected = model.step(x[:, 2].contiguous(), state, reset[:, 2].contiguous())
        torch.testing.assert_close(model.step(x[:, 2], apart, reset[:, 2]), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.load_state_dict(layer(seed=1, **OPTIONS).state_dict()),
        lambda m: m.load_state_dict(layer(seed=1, **OPTIONS).state_dict(), assign=True),
        lambda m: setattr(m.dt_proj.bias, "data", m.dt_proj.bias.data + 1),
        lambda m: setattr(m.x_proj, "weight", nn.Parameter(m.x_proj.weight.detach().t().contiguous().t() * 2)),
        lambda m: setattr(m, "out_proj", nn.Sequential(m.out_proj, nn.Tanh())),
        lambda m: m.in_proj.register_forward_hook(add_one),
        lambda m: nn.utils.parametrize.register_parametrization(m.conv1d, "weight", AddOne()),
        lambda m: m.double().float(),
    ],
    ids=["loaded", "assigned", "data", "replaced", "wrapped", "hooked", "parametrised", "moved"],
)
def test_a_step_sees_what_has_become_of_its_parameters(change):
    model = layer(**OPTIONS)
    x, state = sequence()[0][:, 0], used_state(model, 3)
    with torch.no_grad():
        model.step(x, state)
        change(model)
        torch.testing.assert_close(model.step(x, state), model.forward(x, state), rtol=1e-5, atol=1e-5)


def test_a_step_says_what_is_wrong():
    model = layer()
    x, (conv_state, h) = sequence()[0][:, 0], model.initial_state(3)
    with torch.no_grad():
        with pytest.raises(ValueError, match=r"ssm_state must be \[3, 32, 16\]"):
            model.step(x, (conv_state, h[:2]))
        with pytest.raises(ValueError, match=r"reset must be bool \[3\]"):
            model.step(x, (conv_state, h), torch.zeros(3))


# ---------------------------------------------------------------- types, and torch.compile


@every_option
def test_under_autocast_results_are_near_and_states_in_float32(options):
    model = layer(**options)
    x, reset = sequence()
    state = used_state(model, 3)
    expected, expected_step = model(x, state, reset)[0], model.step(x[:, 0], state)[0]
    with torch.autocast("cpu", torch.bfloat16):
        y, new = model(x, state, reset)
        with torch.no_grad():
            y_step, new_step = model.step(x[:, 0], state)
    assert {part.dtype for part in (*new, *new_step)} == {torch.float32}
    torch.testing.assert_close(y.float(), expected, rtol=0.02, atol=0.02)
    torch.testing.assert_close(y_step.float(), expected_step, rtol=0.02, atol=0.02)
    y.float().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@every_option
def test_parameters_in_bfloat16_keep_states_in_float32(options):
    model = layer(**options)
    x, reset = sequence()
    half = copy.deepcopy(model).bfloat16()
    state = half.initial_state(3)
    y, new = half(x.bfloat16(), state, reset)
    with torch.no_grad():
        y_step, new_step = half.step(x[:, 0].bfloat16(), state)
    assert y.dtype is y_step.dtype is torch.bfloat16
    assert {part.dtype for part in (*state, *new, *new_step)} == {torch.float32}
    expected = model(x, model.initial_state(3), reset)[0]
    torch.testing.assert_close(y.float(), expected, rtol=0.02, atol=0.02)
    torch.testing.assert_close(y_step, y[:, 0], rtol=0.02, atol=0.02)


@compiling
@every_option
def test_compiled_it_is_the_same(options):
    model = layer(**options)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager")
    x, reset = sequence()
    state = used_state(model, 3)
    arguments = {"x": x.requires_grad_()} | dict(model.named_parameters())

    def run(function) -> dict[str, Tensor]:
        return with_gradients(lambda x, **_: (lambda y, new: (y, *new))(*function(x, state, reset)), arguments)

    assert_close(run(compiled), run(model), 1e-6)


@compiling
def test_a_compiled_step_is_the_same():
    model = layer(**OPTIONS)
    torch._dynamo.reset()
    compiled = torch.compile(model.step, backend="eager")
    x, state = sequence()[0][:, 0], used_state(model, 3)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x, state), model.step(x, state), rtol=1e-5, atol=1e-6)
