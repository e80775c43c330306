"""RMS norm: the kernel against torch, and where the kernel does not apply."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import rms_norm as torch_rms_norm

from jamba_rl.nn.norm import RMSNorm, rms_norm
from tests.nn.changes import AddOne
from tests.nn.scan.problems import assert_close, needs_kernel, single, with_gradients

compiles = pytest.mark.skipif(bool(needs_kernel), reason=str(needs_kernel))
EPS = 1e-5


def norm_problem(*shape: int) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(len(shape))
    x = torch.randn(*shape, generator=g, dtype=torch.float64)
    weight = torch.randn(shape[-1], generator=g, dtype=torch.float64)
    return {"x": x.requires_grad_(), "weight": weight.requires_grad_()}


def in_torch(x: Tensor, weight: Tensor) -> tuple[Tensor]:
    return (torch_rms_norm(x, weight.shape, weight, EPS),)


def ours(x: Tensor, weight: Tensor) -> tuple[Tensor]:
    return (rms_norm(x, weight, EPS),)


@pytest.mark.parametrize("shape", [(64,), (1, 1), (7, 5), (2, 3, 16), (4, 64, 64), (2, 3, 4, 20)])
def test_equals_torch_in_values_and_all_gradients(shape):
    problem = norm_problem(*shape)
    expected = with_gradients(in_torch, problem)
    assert_close(with_gradients(ours, problem), expected, 1e-12)
    assert_close(with_gradients(ours, single(problem)), expected, 1e-5)


def test_any_layout():
    problem = single(norm_problem(6, 5, 8))
    turned = problem | {"x": problem["x"].detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_()}
    left, right = with_gradients(ours, problem), with_gradients(ours, turned)
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_without_a_graph_and_with_one_the_same_bits():
    problem = single(norm_problem(16, 64))
    with torch.no_grad():
        (y,) = ours(**problem)
    assert not y.requires_grad
    assert torch.equal(y, ours(**problem)[0])


def test_a_row_of_zeros_stays_finite():
    problem = {"x": torch.zeros(3, 8, requires_grad=True), "weight": torch.ones(8, requires_grad=True)}
    assert all(tensor.isfinite().all() for tensor in with_gradients(ours, problem).values())


def test_no_rows():
    x = torch.zeros(0, 8, requires_grad=True)
    (y,) = ours(x, torch.ones(8))
    y.sum().backward()
    assert y.shape == x.grad.shape == (0, 8)


def test_the_module_is_torch_s():
    ours, theirs = RMSNorm(8, EPS), torch.nn.RMSNorm(8, EPS)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, 8)
    torch.testing.assert_close(ours(x), theirs(x))
    assert ours.double()(x.double()).dtype is torch.float64
    assert ours.bfloat16()(x.bfloat16()).dtype is torch.bfloat16


@compiles
def test_without_a_graph_too_the_module_is_one_call_and_torch_s(monkeypatch):
    norm = RMSNorm(20, EPS)
    x = torch.randn(6, 5, 20)[:, 2]
    with torch.no_grad():
        expected = torch_rms_norm(x.double(), (20,), norm.weight.double(), EPS)
        monkeypatch.setattr(torch.nn.functional, "rms_norm", None)
        assert_close({"y": norm(x)}, {"y": expected}, 1e-6)


def test_the_module_sees_what_has_become_of_its_weight():
    x = torch.randn(3, 8)
    plain = torch_rms_norm(x, (8,), eps=EPS)
    with torch.no_grad():
        norm = RMSNorm(8, EPS)
        torch.testing.assert_close(norm(x), plain)
        norm.weight.data = torch.full((8,), 3.0)
        torch.testing.assert_close(norm(x), 3 * plain)
        norm.weight = torch.nn.Parameter(torch.full((8,), 4.0))
        torch.testing.assert_close(norm(x), 4 * plain)
        torch.nn.utils.parametrize.register_parametrization(norm, "weight", AddOne())
        torch.testing.assert_close(norm(x), 5 * plain)


@compiles
def test_the_torch_path_is_taken_where_there_is_no_kernel(monkeypatch):
    problem = single(norm_problem(5, 16))
    fast = with_gradients(ours, problem)
    monkeypatch.setattr("jamba_rl.nn.norm.kernels_apply", lambda x: False)
    monkeypatch.setattr("jamba_rl.nn.norm.kernel_rms_norm", None)
    assert_close(with_gradients(ours, problem), fast, 1e-5)
