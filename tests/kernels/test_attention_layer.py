"""One step of a whole attention layer in one call: against its parts, and where it does not apply."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from jamba_rl.nn import JambaConfig
from jamba_rl.nn.attention import Attention
from jamba_rl.nn.mixer import State
from tests.nn.changes import every_change
from tests.nn.scan.problems import needs_kernel

compiles = pytest.mark.skipif(bool(needs_kernel), reason=str(needs_kernel))
every_position = pytest.mark.parametrize("position", ["relative", "rope", "learned", "none"])


def layer(heads: int = 2, size: int = 8, window: int = 5, seed: int = 0, **options) -> Attention:
    """A layer whose biases are not zero."""
    torch.manual_seed(seed)
    model = Attention(JambaConfig(d_model=heads * size, num_heads=heads, pattern="A", window=window, **options))
    if model.lag_bias is not None:
        torch.nn.init.normal_(model.lag_bias)
    return model


def used_state(model: Attention, batch: int) -> State:
    torch.manual_seed(7)
    keys, values, age = model.initial_state(batch)
    return torch.randn_like(keys), torch.randn_like(values), torch.randint_like(age, 0, model.config.window + 3)


def sequence(model: Attention, batch: int = 3, time: int = 9) -> tuple[Tensor, Tensor]:
    torch.manual_seed(8)
    return torch.randn(batch, time, model.config.d_model), torch.rand(batch, time) < 0.2


def relative_error(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected).abs().max() / expected.abs().max().clamp_min(0.1))


@settings(deadline=None, max_examples=80)
@given(
    batch=st.integers(1, 6),
    heads=st.integers(1, 5),
    half_size=st.sampled_from([0.5, 1, 1.5, 2, 3, 4, 5, 8, 9, 10, 12, 16, 18]),
    window=st.sampled_from([1, 2, 3, 4, 7, 15, 16, 17, 18, 31, 33, 64]),
    position=st.sampled_from(["relative", "rope", "learned", "none"]),
    bias=st.booleans(),
    resets=st.booleans(),
    seed=st.integers(0, 9),
)
def test_a_step_equals_the_parts_in_float64(batch, heads, half_size, window, position, bias, resets, seed):
    size = int(2 * half_size) if position != "rope" else 2 * max(1, int(half_size))
    model = layer(heads, size, window, seed, position=position, attention_bias=bias)
    double = copy.deepcopy(model).double()
    state, (x, reset) = used_state(model, batch), (part[:, 0] for part in sequence(model, batch, 1))
    before = [part.clone() for part in state]
    with torch.no_grad():
        y, new = model.step(x, state, reset if resets else None)
        wide = (state[0].double(), state[1].double(), state[2])
        expected, expected_new = double.step(x.double(), wide, reset if resets else None)
    for got, right in zip((y, *new[:2]), (expected, *expected_new[:2]), strict=True):
        assert (got.shape, got.dtype) == (right.shape, torch.float32)
        assert not right.numel() or relative_error(got, right) <= 1e-5
    assert torch.equal(new[2], expected_new[2])
    assert all(torch.equal(part, copied) for part, copied in zip(state, before, strict=True))


@every_position
@pytest.mark.parametrize("window", [1, 16])
def test_steps_equal_a_sequence(position, window):
    model = layer(position=position, window=window, rope_base=100.0)
    x, reset = sequence(model, 3, 200)
    with torch.no_grad():
        whole, state_after = model(x, used_state(model, 3), reset)
        state, steps = used_state(model, 3), []
        for t in range(200):
            y, state = model.step(x[:, t], state, reset[:, t])
            steps.append(y)
    assert (torch.stack(steps, 1) - whole).abs().max() <= 1e-5
    torch.testing.assert_close(state, state_after, rtol=1e-5, atol=1e-5)


@compiles
@every_position
def test_without_a_graph_it_is_one_call(position, monkeypatch):
    model = layer(position=position)
    monkeypatch.setattr(model, "_step_in_parts", None)
    (x, reset), state = sequence(model), model.initial_state(3)
    with torch.no_grad():
        model.step(x[:, 0], state, reset[:, 0])
    model.requires_grad_(False).step(x[:, 0], state)


@pytest.mark.parametrize("leaf", ["parameters", "x", "state"])
def test_with_a_graph_it_is_not(leaf, monkeypatch):
    monkeypatch.setattr("jamba_rl.nn.attention.kernel_step", None)
    model = layer().requires_grad_(leaf == "parameters")
    x, (keys, values, age) = sequence(model)[0][:, 0], used_state(model, 3)
    x.requires_grad_(leaf == "x")
    keys.requires_grad_(leaf == "state")
    y, _ = model.step(x, (keys, values, age + 1))
    y.square().sum().backward()
    wanted = {"parameters": model.lag_bias, "x": x, "state": keys}[leaf]
    assert wanted.grad.abs().sum() > 0


def test_nor_where_it_does_not_fit(monkeypatch):
    monkeypatch.setattr("jamba_rl.nn.attention.kernel_step", None)
    with torch.no_grad():
        for model in (layer(num_kv_heads=1), layer(window=None, position="none"), layer().double()):
            x = torch.randn(3, 16, dtype=model.out_proj.weight.dtype)
            assert model.step(x, model.initial_state(3))[0].dtype is x.dtype
        model = layer()
        assert model.step(torch.randn(0, 16), model.initial_state(0))[0].shape == (0, 16)
        with torch.autocast("cpu", torch.bfloat16):
            assert model.step(torch.randn(3, 16), model.initial_state(3))[0].dtype is torch.bfloat16


@every_change
def test_a_step_sees_what_has_become_of_its_parameters(change):
    model = layer(attention_bias=True)
    x, state = sequence(model)[0][:, 0], used_state(model, 3)
    with torch.no_grad():
        model.step(x, state)
        change(model, layer(attention_bias=True, seed=1))
        y, new = model.step(x, state)
        whole, expected = model.forward(x[:, None], state)
    torch.testing.assert_close((y, new), (whole[:, 0], expected), rtol=1e-5, atol=1e-5)


def test_strides_do_not_matter():
    model = layer()
    x, reset = sequence(model)
    state = used_state(model, 3)
    turned = tuple(part.transpose(0, -1).contiguous().transpose(0, -1) for part in state[:2])
    apart = tuple(torch.stack([part, part], 2)[:, :, 0] for part in state[:2])
    age = torch.stack([state[2], state[2]], 1)[:, 0]
    assert not any(part.is_contiguous() for part in (x[:, 2], reset[:, 2], *turned, *apart, age))
    with torch.no_grad():
        expected = model.step(x[:, 2].contiguous(), state, reset[:, 2].contiguous())
        for caches in (turned, apart):
            got = model.step(x[:, 2], (*caches, age), reset[:, 2])
            torch.testing.assert_close(got, expected, rtol=0, atol=0)
            assert all(part.is_contiguous() for part in got[1])


@pytest.mark.parametrize("threads", [1, 2, 3])
@every_position
def test_threads_share_the_rows_of_a_batch(threads, position, monkeypatch):
    model = layer(position=position)
    x, reset = (part[:, 0] for part in sequence(model, 7))
    state = used_state(model, 7)
    with torch.no_grad():
        expected = model._step_in_parts(x, state, reset)
        monkeypatch.setattr("jamba_rl.kernels.attention_layer.thread_count", lambda work: threads)
        torch.testing.assert_close(model.step(x, state, reset), expected, rtol=1e-5, atol=1e-6)


@compiles
def test_what_is_not_seen_need_not_be_finite():
    model = layer(heads=3, size=4, window=20)
    x, (keys, values, _) = sequence(model)[0][:, 0], used_state(model, 3)
    age = torch.tensor([0, 7, 30])
    reset = torch.tensor([False, False, True])
    spoilt = keys.clone(), values.clone()
    for cache in spoilt:
        cache[0], cache[1, :-7], cache[2] = torch.nan, torch.inf, torch.nan
    with torch.no_grad():
        y, (*_, new_age) = model.step(x, (*spoilt, age), reset)
        assert torch.equal(y, model.step(x, (keys, values, age), reset)[0])
        assert new_age.tolist() == [1, 8, 1]
        x[1] = torch.nan
        y, _ = model.step(x, (keys, values, age), reset)
    assert y[[0, 2]].isfinite().all()
    assert y[1].isnan().all()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_a_compiled_step_is_the_same():
    model = layer()
    torch._dynamo.reset()
    compiled = torch.compile(model.step, backend="eager")
    (x, reset), state = sequence(model), used_state(model, 3)
    with torch.no_grad():
        expected = model.step(x[:, 0], state, reset[:, 0])
        torch.testing.assert_close(compiled(x[:, 0], state, reset[:, 0]), expected, rtol=1e-5, atol=1e-6)


def test_a_step_says_what_is_wrong():
    model = layer()
    x, (keys, values, age) = sequence(model)[0][:, 0], model.initial_state(3)
    with torch.no_grad(), pytest.raises(RuntimeError):
        model.step(x, (keys[:2], values, age))
    with torch.no_grad(), pytest.raises(RuntimeError):
        model.step(x[:, :7], (keys, values, age))
