"""Windowed attention: the kernel against its torch form, and the torch form against the definition."""

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from jamba_rl.kernels.attention import AttentionInputs
from jamba_rl.nn.attention import torch_attention, windowed_attention, windowed_attention_step
from tests.nn.scan.problems import assert_close, needs_kernel, single, with_gradients

compiles = pytest.mark.skipif(bool(needs_kernel), reason=str(needs_kernel))
AGES = [0, 1, 3, 300]


def attention_problem(
    time: int = 9,
    window: int = 5,
    size: int = 8,
    bias: bool = True,
    heads: int = 2,
    resets: float = 0.15,
    seed: int = 0,
) -> dict[str, Tensor | None]:
    """Arguments of ``windowed_attention`` in float64, one sequence per age."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64).requires_grad_()

    batch = len(AGES)
    return {
        "qkv": normal(batch, time, 3, heads, size),
        "keys": normal(batch, window - 1, heads, size),
        "values": normal(batch, window - 1, heads, size),
        "lag_bias": normal(heads, window) if bias else None,
        "reset": torch.rand(batch, time, generator=g) < resets,
    }


def run(function, problem: dict[str, Tensor | None]) -> dict[str, Tensor]:
    """Values and gradients; the age, which has no gradient, among the values."""
    age, ages_after = torch.tensor(AGES), []

    def attend(**given: Tensor) -> tuple[Tensor]:
        arguments = {"reset": None, "lag_bias": None, "age": age} | given
        y, age_after = function(**arguments)
        ages_after.append(age_after)
        return (y,)

    given = {k: v for k, v in problem.items() if v is not None}
    result = with_gradients(attend, given)
    return {name: tensor for name, tensor in result.items() if tensor.numel()} | {"age": ages_after[0]}


def in_torch(**arguments) -> tuple[Tensor, Tensor]:
    names = ("qkv", "keys", "values", "age", "reset", "lag_bias")
    return torch_attention(AttentionInputs(*(arguments[name] for name in names)))


def floats(problem: dict[str, Tensor | None]) -> dict[str, Tensor | None]:
    return single({k: v for k, v in problem.items() if v is not None})


def by_definition(qkv, keys, values, age, reset, lag_bias) -> tuple[Tensor, Tensor]:
    """Query by query, as the docstring says."""
    (B, T, _, H, K), V = qkv.shape, keys.shape[1]
    keys, values = torch.cat([keys, qkv[:, :, 1]], 1), torch.cat([values, qkv[:, :, 2]], 1)
    y, ages = torch.zeros(B, T, H, K, dtype=qkv.dtype), age.clone()
    for b in range(B):
        for t in range(T):
            if reset is not None and reset[b, t]:
                ages[b] = 0
            seen = min(int(ages[b]), V) + 1
            columns = slice(V + t + 1 - seen, V + t + 1)
            scores = torch.einsum("hk,shk->hs", qkv[b, t, 0], keys[b, columns]) / K**0.5
            if lag_bias is not None:
                scores = scores + lag_bias[:, :seen].flip(1)
            y[b, t] = torch.einsum("hs,shk->hk", scores.softmax(1), values[b, columns])
            ages[b] += 1
    return y, ages


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("window", [1, 2, 5, 12])
def test_torch_form_equals_the_definition(window, bias):
    problem = attention_problem(window=window, bias=bias)
    assert_close(run(in_torch, problem), run(by_definition, problem), 1e-10)


@compiles
@pytest.mark.parametrize("size", [8, 16, 20])
@pytest.mark.parametrize("window", [1, 2, 5, 64])
@pytest.mark.parametrize("time", [1, 2, 3, 64, 200])
def test_kernel_equals_torch_in_values_and_all_gradients(time, window, size):
    for seed, bias in enumerate([True, False]):
        problem = attention_problem(time, window, size, bias, seed=seed, resets=2 / (time + 4))
        expected = run(in_torch, problem)
        assert_close(run(windowed_attention, problem), expected, 1e-12)  # float64: not the kernel
        assert_close(run(windowed_attention, floats(problem)), expected, 2e-5)


@compiles
def test_kernel_without_resets_and_with_one_at_every_step():
    for resets in (0.0, 1.0):
        problem = attention_problem(70, 64, 16, resets=resets)
        if not resets:
            problem["reset"] = None
        assert_close(run(windowed_attention, floats(problem)), run(in_torch, problem), 2e-5)


@compiles
@pytest.mark.parametrize("size", [8, 16, 20])
@pytest.mark.parametrize("window", [1, 2, 5, 64])
def test_step_equals_a_sequence_of_one(window, size):
    for bias in (True, False):
        problem = attention_problem(1, window, size, bias, resets=0.5)
        exact = {k: None if v is None else v.detach() for k, v in problem.items()}
        age = torch.tensor(AGES)
        step = {"qkv": exact["qkv"][:, 0], "reset": exact["reset"][:, 0]}
        expected = windowed_attention_step(**exact | step, age=age)
        torch.testing.assert_close(expected[0], in_torch(**exact, age=age)[0][:, 0])
        small = {k: v.float() if v is not None and v.dtype is torch.float64 else v for k, v in (exact | step).items()}
        copies = {k: None if v is None else v.clone() for k, v in small.items()}
        with torch.no_grad():
            got = windowed_attention_step(**small, age=age)
        for left, right in zip(got, expected, strict=True):
            torch.testing.assert_close(left.double(), right.double(), rtol=1e-5, atol=1e-5)
        assert all(v is None or torch.equal(v, copies[k]) for k, v in small.items())
        assert age.tolist() == AGES


def test_a_step_can_be_differentiated():
    problem = floats(attention_problem(1))
    step = {"qkv": problem["qkv"][:, 0], "reset": problem["reset"][:, 0]}
    y, keys, values, _ = windowed_attention_step(**problem | step, age=torch.tensor(AGES))
    gradients = torch.autograd.grad(y.square().sum() + keys.sum() + values.sum(), [problem["qkv"], problem["lag_bias"]])
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


@compiles
def test_what_is_not_seen_need_not_be_finite():
    problem = floats(attention_problem(20, 16, 16, resets=0.0))
    problem["reset"][:, 3] = True
    clean = run(windowed_attention, problem)
    with torch.no_grad():
        for cache in (problem["keys"], problem["values"]):
            cache[0] = torch.nan  # of age 0
            cache[1, :-1] = torch.inf  # of age 1
    got = run(windowed_attention, problem)
    for name in ("output 0", "gradient of qkv", "gradient of lag_bias"):
        assert torch.equal(got[name], clean[name]), name


@compiles
def test_any_layout_and_unused_gradients():
    problem = floats(attention_problem(10, 5, 8))
    expected = run(windowed_attention, problem)
    with torch.no_grad():
        turned = {k: problem[k].transpose(1, 2).contiguous().transpose(1, 2) for k in ("keys", "values")}
        qkv = torch.stack([problem["qkv"]] * 2, 2)[:, :, 0]
        y, _ = windowed_attention(
            qkv, **turned, age=torch.tensor(AGES), reset=problem["reset"].t().contiguous().t(),
            lag_bias=problem["lag_bias"].t().contiguous().t(),
        )  # fmt: skip
    assert torch.equal(y, expected["output 0"])
    frozen = problem | {k: problem[k].detach() for k in ("keys", "values", "lag_bias")}
    y, _ = windowed_attention(**frozen, age=torch.tensor(AGES))
    g = torch.Generator().manual_seed(1)
    weight = torch.randn(y.shape, generator=g, dtype=torch.float64).float()
    assert torch.equal(torch.autograd.grad(y, problem["qkv"], weight)[0], expected["gradient of qkv"])


@compiles
@pytest.mark.parametrize("threads", [1, 3])
def test_same_inputs_same_bits(threads, monkeypatch):
    problem = floats(attention_problem(30, 16, 16, heads=5))
    once = run(windowed_attention, problem)
    monkeypatch.setattr("jamba_rl.kernels.attention.thread_count", lambda work: threads)
    again = run(windowed_attention, problem)
    assert all(torch.equal(once[name], again[name]) for name in once)


@compiles
def test_large_scores_do_not_overflow_and_nan_stays_nan():
    problem = floats(attention_problem(10, 5, 8))
    with torch.no_grad():
        problem["qkv"] *= 1e4
        y, _ = windowed_attention(**problem, age=torch.tensor(AGES))
        assert y.isfinite().all()
        problem["qkv"][0, 4] = torch.nan
        y, _ = windowed_attention(**problem, age=torch.tensor(AGES))
    assert y[0, 4].isnan().all()
    assert y[1:].isfinite().all()


OFF = """
import torch
from jamba_rl.nn import Jamba, JambaConfig
from jamba_rl.kernels import build
assert build.library() is None
torch.manual_seed(0)
model = Jamba(JambaConfig(d_model=16, pattern="A", window=5, num_heads=2))
x, reset = torch.randn(2, 7, 16), torch.zeros(2, 7, dtype=torch.bool)
with torch.no_grad():
    out = model(x, reset=reset)
    state = model.initial_state(2)
    for t in range(7):
        one = model.step(x[:, t], state, reset[:, t])
        state = one.state
torch.testing.assert_close(one.hidden, out.hidden[:, -1], rtol=1e-5, atol=1e-5)
print(float(out.hidden.sum()))
"""


@compiles
def test_the_same_without_a_kernel():
    environment = os.environ | {"JAMBA_RL_KERNEL": "0"}
    off = subprocess.run([sys.executable, "-c", OFF], env=environment, capture_output=True, text=True, check=True)
    torch.manual_seed(0)
    from jamba_rl.nn import Jamba, JambaConfig

    model = Jamba(JambaConfig(d_model=16, pattern="A", window=5, num_heads=2))
    with torch.no_grad():
        here = float(model(torch.randn(2, 7, 16)).hidden.sum())
    assert float(off.stdout) == pytest.approx(here, abs=1e-3)
