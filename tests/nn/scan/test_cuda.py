"""The layout of what goes to ``mamba_ssm`` and comes back, with its published formula in place of the kernel."""

from importlib.util import find_spec

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from jamba_rl.kernels.scan import ScanInputs
from jamba_rl.nn.scan import cuda, mamba_scan, selective_scan
from tests.nn.scan.problems import assert_close, scan_problem, with_gradients
from tests.nn.scan.test_inner import fused_problem


def published(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, return_last_state=False):
    """``selective_scan_ref`` of mamba_ssm for B and C that vary: u, delta (B, E, T), B, C (B, N, T)."""
    assert z is None
    assert not return_last_state
    assert all(tensor.stride(-1) == 1 for tensor in (u, delta, B, C))
    if delta_bias is not None:
        delta = delta + delta_bias[:, None]
    if delta_softplus:
        delta = softplus(delta)
    h, ys = u.new_zeros(*u.shape[:2], A.shape[1]), []
    for t in range(u.shape[2]):
        decay = torch.exp(delta[:, :, t, None] * A)
        h = decay * h + (delta * u)[:, :, t, None] * B[:, None, :, t]
        ys.append((h * C[:, None, :, t]).sum(2))
    y = torch.stack(ys, 2)
    return y if D is None else y + u * D[:, None]


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "selective_scan_fn", lambda: published)


def inputs(**changes: Tensor | None) -> ScanInputs:
    problem = scan_problem() | changes
    x, dt, A, B, C, D = (problem[k] for k in ("x", "dt", "A", "B", "C", "D"))
    state, reset = problem.get("initial_state"), problem.get("reset")
    return ScanInputs(x, dt, A, B, C, D, None, None, state, reset, False, False)


def test_equals_the_scan_in_values_and_all_gradients():
    problem = {k: v for k, v in scan_problem().items() if k not in ("reset", "initial_state")}
    expected = with_gradients(lambda **p: selective_scan(**p, backend="reference"), problem)
    got = with_gradients(
        lambda x, dt, A, B, C, D: cuda.cuda_scan(
            ScanInputs(x, dt, A, B, C, D, None, None, None, None, softplus=False, log_A=False)
        ),
        problem,
    )
    assert_close(got, expected, 1e-12)


def test_equals_softplus_scan_and_gate():
    problem = {k: v for k, v in fused_problem(7, 5, 4).items() if k not in ("reset", "initial_state")}
    expected = with_gradients(lambda **p: mamba_scan(**p, backend="reference"), problem)
    got = with_gradients(
        lambda x, z, dt_raw, dt_bias, A_log, B, C, D: cuda.cuda_scan(
            ScanInputs(x, dt_raw, A_log, B, C, D, z, dt_bias, None, None, softplus=True, log_A=True)
        ),
        problem,
    )
    assert_close(got, expected, 1e-12)


class OnCuda(Tensor):
    """A tensor that says it is on a CUDA device."""

    is_cuda = True


def test_applies_to_float32_on_cuda_without_resets_and_initial_state(monkeypatch):
    there = scan_problem()["x"].detach().float().as_subclass(OnCuda)
    plain = {"x": there, "reset": None, "initial_state": None}
    assert cuda.cuda_applies(inputs(**plain))
    assert not cuda.cuda_applies(inputs(**plain | {"x": there.as_subclass(Tensor)}))
    assert not cuda.cuda_applies(inputs(**plain | {"x": there.double().as_subclass(OnCuda)}))
    assert not cuda.cuda_applies(inputs(**plain | {"reset": torch.zeros(2, 9, dtype=torch.bool)}))
    assert not cuda.cuda_applies(inputs(**plain | {"initial_state": torch.zeros(2, 5, 4)}))
    monkeypatch.setattr(cuda, "selective_scan_fn", lambda: None)
    assert not cuda.cuda_applies(inputs(**plain))


def test_auto_takes_it_where_it_applies(monkeypatch):
    problem = {k: v for k, v in scan_problem().items() if k not in ("reset", "initial_state")}
    taken = []
    monkeypatch.setattr("jamba_rl.nn.scan.dispatch.cuda_applies", lambda i: taken.append(1) or True)
    y, state = selective_scan(**problem)
    assert taken == [1]
    expected, expected_state = selective_scan(**problem, backend="torch")
    assert taken == [1]
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(state, expected_state)


def test_it_is_found_where_it_is_installed_with_its_kernel(monkeypatch):
    monkeypatch.undo()
    found = all(find_spec(name) for name in ("mamba_ssm", "selective_scan_cuda"))
    assert (cuda.selective_scan_fn() is not None) == found
