"""Properties of the selective scan, of every implementation."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from jamba_rl.kernels.scan import _KernelScan
from jamba_rl.nn.scan import selective_scan, selective_scan_step
from tests.nn.scan.problems import NAMES, assert_close, needs_kernel, scan_problem, single, with_gradients

kernel = pytest.param("cpu", marks=pytest.mark.skipif(bool(needs_kernel), reason=str(needs_kernel)))
fast = pytest.mark.parametrize("backend", ["torch", kernel])
every = pytest.mark.parametrize("backend", ["reference", "torch", kernel])


def run(arguments: dict[str, Tensor], backend: str) -> dict[str, Tensor]:
    return with_gradients(lambda **kwargs: selective_scan(**kwargs, backend=backend), arguments)


@fast
@pytest.mark.parametrize("time", [1, 2, 3, 7, 64, 257, 1024])
def test_equals_the_reference_in_float64_values_and_all_gradients(time, backend):
    problem = scan_problem(time, channels=19, states=16)
    assert_close(run(single(problem), backend), run(problem, "reference"), 1e-5)


@fast
def test_holds_where_the_old_state_fades_at_once(backend):
    problem = scan_problem(1024, channels=4, states=16, dt=(0.6, 0.8))
    assert_close(run(single(problem), backend), run(problem, "reference"), 1e-5)


@fast
def test_decays_that_underflow_are_zero_not_nan(backend):
    problem = scan_problem(20, channels=17, states=16, dt=(0.0, 1e4))
    assert_close(run(single(problem), backend), run(problem, "reference"), 1e-5)


@fast
def test_a_memory_of_thousands_of_steps_is_exact(backend):
    # A decay rounded by 6e-8 at every step, 1024 times: more than that would not be float32's fault.
    problem = scan_problem(1024, channels=8, states=4, dt=(1e-5, 2e-5))
    assert_close(run(single(problem), backend), run(problem, "reference"), 2e-5)


@pytest.mark.skipif(bool(needs_kernel), reason=str(needs_kernel))
@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 5),
    time=st.integers(1, 70),
    channels=st.integers(1, 40),
    states=st.integers(1, 67),
    absent=st.sets(st.sampled_from(["D", "reset", "initial_state"])),
)
def test_kernel_takes_any_shape(batch, time, channels, states, absent):
    problem = {k: v for k, v in scan_problem(time, channels, states, batch).items() if k not in absent}
    assert_close(run(single(problem), "cpu"), run(problem, "reference"), 1e-5)


def test_torch_gradients_are_those_of_finite_differences():
    problem = scan_problem(5, channels=3, states=2)
    tensors = [problem[name] for name in NAMES]

    def scan(*tensors: Tensor):
        return selective_scan(**dict(zip(NAMES, tensors, strict=True)), reset=problem["reset"], backend="torch")

    assert torch.autograd.gradcheck(scan, tensors)


def test_reference_can_be_differentiated_twice():
    problem = scan_problem(3, channels=2, states=2)
    tensors = [problem[name] for name in NAMES]

    def scan(*tensors: Tensor):
        return selective_scan(**dict(zip(NAMES, tensors, strict=True)), reset=problem["reset"], backend="reference")

    assert torch.autograd.gradgradcheck(scan, tensors)


def test_state_alone_can_be_differentiated():
    problem = single(scan_problem())
    _, state = selective_scan(**problem)
    state.sum().backward()
    _, expected = selective_scan(**problem, backend="reference")
    x = problem["x"]
    torch.testing.assert_close(x.grad, torch.autograd.grad(expected.sum(), x)[0], rtol=1e-5, atol=1e-6)


@every
def test_chunks_equal_the_whole(backend):
    problem = single(scan_problem(70, channels=18, states=16))
    whole, last = selective_scan(**problem, backend=backend)
    parts, state = [], problem.pop("initial_state")
    for steps in (slice(0, 1), slice(1, 33), slice(33, 70)):
        part = {k: v[:, steps] if k in ("x", "dt", "B", "C", "reset") else v for k, v in problem.items()}
        y, state = selective_scan(**part, initial_state=state, backend=backend)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(state, last, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("states", [3, 16, 32])
def test_steps_equal_the_whole(states, grad):
    problem = single(scan_problem(12, channels=18, states=states))
    with torch.set_grad_enabled(grad):
        whole, last = selective_scan(**problem)
        A, D, state = problem["A"], problem["D"], problem["initial_state"]
        for t in range(12):
            before = state.clone()
            x, dt, B, C, reset = (problem[k][:, t] for k in ("x", "dt", "B", "C", "reset"))
            y, new = selective_scan_step(x, dt, A, B, C, D, state, reset)
            torch.testing.assert_close(y, whole[:, t], rtol=1e-5, atol=1e-5)
            assert torch.equal(state, before), "the old state has been changed"
            state = new
    torch.testing.assert_close(state, last, rtol=1e-5, atol=1e-5)
    assert state.requires_grad == grad


@every
def test_a_reset_equals_starting_over(backend):
    problem = single(scan_problem(20)) | {"reset": torch.zeros(2, 20, dtype=torch.bool)}
    problem["reset"][0, 13] = True
    y, state = selective_scan(**problem, backend=backend)
    later = {k: v[:, 13:] if k in ("x", "dt", "B", "C", "reset") else v for k, v in problem.items()}
    fresh, fresh_state = selective_scan(**later | {"initial_state": None}, backend=backend)
    torch.testing.assert_close(y[0, 13:], fresh[0])
    torch.testing.assert_close(state[0], fresh_state[0])


@every
def test_gradients_do_not_cross_a_reset(backend):
    problem = single(scan_problem(10)) | {"reset": torch.zeros(2, 10, dtype=torch.bool)}
    problem["reset"][:, 6] = True
    y, _ = selective_scan(**problem, backend=backend)
    before, state = torch.autograd.grad(y[:, 6:].sum(), [problem["x"], problem["initial_state"]])
    assert not before[:, :6].any()
    assert before[:, 6:].any()
    assert not state.any()


@every
def test_a_reset_forgets_a_state_that_is_not_finite(backend):
    problem = single(scan_problem(4))
    problem["reset"][:, 0] = True
    expected = run(problem, backend)
    spoilt = torch.full_like(problem["initial_state"], float("nan")).requires_grad_()
    assert_close(run(problem | {"initial_state": spoilt}, backend), expected, 0.0)


@every
@pytest.mark.parametrize("spoilt", ["initial_state", "x", "dt"])
def test_nothing_that_is_not_finite_crosses_a_reset(backend, spoilt):
    problem = single(scan_problem(6)) | {"reset": torch.zeros(2, 6, dtype=torch.bool)}
    problem["reset"][0, 1] = True
    expected = run(problem, backend)
    with torch.no_grad():
        (problem[spoilt][0] if spoilt == "initial_state" else problem[spoilt][0, 0]).fill_(float("nan"))
    got = run(problem, backend)
    assert got["output 0"][0, 0].isnan().all()
    names = ["output 0", *(f"gradient of {name}" for name in ("x", "dt", "B", "C"))]
    first = 2 if backend == "cpu" else 1  # the kernel's gradient of dt is not finite at the reset itself
    after = {name: (got[name][0, first:], expected[name][0, first:]) for name in names}
    after["output 0"] = (got["output 0"][0, 1:], expected["output 0"][0, 1:])
    for name, (left, right) in ({"output 1": (got["output 1"], expected["output 1"])} | after).items():
        assert torch.equal(left, right), name


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_no_gradient_that_is_not_finite_crosses_a_reset(backend):
    problem = single(scan_problem(6)) | {"reset": torch.zeros(2, 6, dtype=torch.bool)}
    problem["reset"][:, 3] = True
    y, _ = selective_scan(**problem, backend=backend)
    weight = torch.ones_like(y)
    weight[:, 3:] = float("nan")
    dx, dstate = torch.autograd.grad(y, [problem["x"], problem["initial_state"]], weight)
    assert dx[:, :3].isfinite().all()
    assert dstate.isfinite().all()


@every
def test_is_causal(backend):
    problem = single(scan_problem(12))
    y, _ = selective_scan(**problem, backend=backend)
    changed = problem | {k: torch.cat([problem[k][:, :7], problem[k][:, 7:] + 1], 1) for k in ("x", "B", "C")}
    z, _ = selective_scan(**changed, backend=backend)
    assert torch.equal(y[:, :7], z[:, :7])
    assert not torch.equal(y[:, 7:], z[:, 7:])


@every
def test_nan_comes_out_where_nan_went_in(backend):
    problem = single(scan_problem(6)) | {"reset": None}
    for name in ("x", "dt"):
        spoilt = problem[name].detach().clone()
        spoilt[0, 2, 1] = float("nan")
        y, _ = selective_scan(**problem | {name: spoilt}, backend=backend)
        assert y[0, 2:, 1].isnan().all()
        assert y[1].isfinite().all()


@pytest.mark.skipif(bool(needs_kernel), reason=str(needs_kernel))
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 4])
def test_same_threads_same_bits(batch, threads, monkeypatch):
    monkeypatch.setattr("jamba_rl.kernels.scan.thread_count", lambda work: threads)
    problem = single(scan_problem(40, channels=70, states=16, batch=batch))
    first, second = run(problem, "cpu"), run(problem, "cpu")
    assert all(torch.equal(first[name], second[name]) for name in first)
    monkeypatch.setattr("jamba_rl.kernels.scan.thread_count", lambda work: 1)
    assert_close(first, run(problem, "cpu"), 1e-5)


@fast
def test_strides_do_not_matter(backend):
    problem = single(scan_problem(9))

    def elsewhere(name: str, tensor: Tensor) -> Tensor:
        if name in ("B", "C"):  # parts of one projection
            return torch.cat([tensor, tensor], -1)[..., : tensor.shape[-1]]
        return tensor.transpose(0, -1).contiguous().transpose(0, -1)

    moved = {k: elsewhere(k, v.detach()).requires_grad_(v.requires_grad) for k, v in problem.items()}
    assert not any(moved[k].is_contiguous() for k in ("x", "A", "B", "initial_state", "reset"))
    assert_close(run(moved, backend), run(problem, backend), 1e-6)


@fast
def test_an_expanded_gradient_is_understood(backend):
    problem = single(scan_problem())
    y, _ = selective_scan(**problem, backend=backend)
    y.sum().backward()
    expected, _ = selective_scan(**problem, backend="reference")
    expected_x = torch.autograd.grad(expected.sum(), problem["x"])[0]
    torch.testing.assert_close(problem["x"].grad, expected_x, rtol=1e-5, atol=1e-6)


def test_auto_is_the_kernel_for_float32_only(monkeypatch):
    used = []
    apply = _KernelScan.apply
    monkeypatch.setattr(_KernelScan, "apply", lambda *args: used.append(1) or apply(*args))
    problem = scan_problem()
    selective_scan(**problem)
    assert not used
    selective_scan(**single(problem))
    assert bool(used) != bool(needs_kernel)


@fast
@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_comes_back_as_bfloat16_with_a_float32_state(backend, autocast):
    problem = single(scan_problem())
    expected, _ = selective_scan(**problem)
    half = problem | {k: problem[k].bfloat16() for k in ("x", "dt", "B", "C")}
    with torch.autocast("cpu", enabled=autocast):
        y, state = selective_scan(**half, backend=backend)
    assert y.dtype is torch.bfloat16
    assert state.dtype is torch.float32
    torch.testing.assert_close(y.float(), expected, rtol=0.05, atol=0.05)


# Where torch.compile looks into a tensor it hides this warning, but not from pytest, which makes it an error first.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_compiled_it_is_the_same():
    torch._dynamo.reset()

    @torch.compile(backend="aot_eager")
    def compiled(x: Tensor, **arguments: Tensor):
        y, state = selective_scan(x.tanh(), **arguments)
        return y.exp(), state

    def eager(x: Tensor, **arguments: Tensor):
        y, state = selective_scan(x.tanh(), **arguments)
        return y.exp(), state

    problem = single(scan_problem())
    assert_close(with_gradients(compiled, problem), with_gradients(eager, problem), 1e-6)


def test_default_type_and_device_of_torch_do_not_matter():
    problem = single(scan_problem())
    expected = run(problem, "auto")
    torch.set_default_dtype(torch.float64)
    try:
        assert_close(run(problem, "auto"), expected, 0.0)
    finally:
        torch.set_default_dtype(torch.float32)
