"""Layers of linear and tanh as one function: against the modules, and where it does not apply."""

import copy

import pytest
import torch
from torch import Tensor, nn

from jamba_rl.kernels.library import call, kernels
from jamba_rl.kernels.mlp import _TANH
from jamba_rl.rl.ppo.heads import Heads
from tests.nn.changes import AddOne, add_one
from tests.nn.scan.problems import needs_kernel

compiles = pytest.mark.skipif(bool(needs_kernel), reason=str(needs_kernel))


def heads(*widths: int, activation: type[nn.Module] = nn.Tanh, features: int = 5) -> Heads:
    torch.manual_seed(0)
    return Heads(features, list(widths), activation, "cpu")


def rows(count: int = 7, features: int = 5) -> Tensor:
    return 2.0 * torch.randn(count, features, generator=torch.Generator().manual_seed(1))


def gradients(y: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(2))
    return torch.autograd.grad((y * weights.to(y.dtype)).sum(), inputs)


def assert_same(model: Heads, x: Tensor) -> None:
    """Output and all gradients, those of x too, as the modules have them."""
    for run, net in ((model.forward_actor, model.policy_net), (model.forward_critic, model.value_net)):
        own = x.detach().clone().requires_grad_() if x.is_contiguous() else x.detach().requires_grad_()
        inputs = [own, *net.parameters()]
        y, expected = run(own), net(own)
        torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(gradients(y, inputs), gradients(expected, inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 7, 300])
@pytest.mark.parametrize("widths", [(), (1,), (16,), (64, 33), (3, 4, 5)])
def test_output_and_gradients_are_those_of_the_modules(path, widths, count):
    assert_same(heads(*widths), rows(count))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_numbers(path, dtype):
    model = heads(4).to(dtype)
    y = model.forward_actor(rows().to(dtype))
    assert torch.equal(y, model.policy_net(rows().to(dtype)))


def test_strides_and_further_axes_do_not_matter(path):
    model = heads(8, 4)
    assert_same(model, rows(5, 7).t())
    assert_same(model, rows(7, 10)[:, ::2])
    assert_same(model, rows(12).view(3, 4, 5))
    assert_same(model, rows(1)[0])


@pytest.mark.parametrize(
    "turn", [Tensor.contiguous, lambda t: t.t().contiguous().t(), lambda t: t[:1, :1].expand(7, 4)]
)
def test_the_gradient_may_have_any_strides_and_is_not_written_to(path, turn):
    model, weights = heads(4), turn(rows(7, 4))
    before, parameters = weights.clone(), list(model.policy_net.parameters())
    y, expected = model.forward_actor(rows()), model.policy_net(rows())
    got = torch.autograd.grad(y, parameters, weights)
    assert torch.equal(weights, before)
    torch.testing.assert_close(got, torch.autograd.grad(expected, parameters, weights))


@pytest.mark.parametrize("frozen", [0, 1, 2, 3])
def test_frozen_parameters_get_no_gradient(path, frozen):
    model = heads(4, 3)
    parameters = list(model.policy_net.parameters())
    parameters[frozen].requires_grad_(False)
    model.forward_actor(rows()).sum().backward()
    assert [p.grad is None for p in parameters] == [index == frozen for index in range(4)]


CHANGES = {
    "activation": lambda net: net.__setitem__(1, nn.ReLU()),
    "another layer": lambda net: net.append(nn.LayerNorm(4)),
    "no bias": lambda net: net.__setitem__(0, nn.Linear(5, 4, bias=False)),
    "parametrised": lambda net: nn.utils.parametrize.register_parametrization(net[0], "weight", AddOne()),
    "data": lambda net: setattr(net[0].weight, "data", net[0].weight.data + 1),
    "transposed": lambda net: setattr(net[0], "weight", nn.Parameter(torch.randn(5, 4).t())),
    "hooked": lambda net: net[0].register_forward_hook(add_one),
    "tanh hooked": lambda net: net[1].register_forward_hook(add_one),
    "hooked before": lambda net: net[1].register_forward_pre_hook(lambda _, arguments: (arguments[0] + 1,)),
    "hooked as a whole": lambda net: net.register_forward_hook(add_one),
    "hooked behind": lambda net: net[0].register_full_backward_hook(lambda _, given, __: (given[0] + 1,)),
    "whole hooked behind": lambda net: net.register_full_backward_hook(lambda _, given, __: (given[0] + 1,)),
    "hooked before behind": lambda net: net[1].register_full_backward_pre_hook(lambda _, given: (given[0] + 1,)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_layers_may_be_changed_and_hooked(path, change):
    model = heads(4)
    model.forward_actor(rows())
    change(model.policy_net)
    assert_same(model, rows())


def test_autocast_is_respected(path):
    with torch.autocast("cpu", torch.bfloat16):
        assert heads(4).forward_actor(rows()).dtype is torch.bfloat16


def test_weights_changed_before_going_back_are_noticed(path):
    model = heads(4, 4)
    y = model.forward_actor(rows()).sum()
    with torch.no_grad():
        model.policy_net[2].weight.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_a_copy_has_its_own_weights(path):
    model = heads(4)
    other = copy.deepcopy(model)
    model.forward_actor(rows()).sum().backward()
    assert all(p.grad is None for p in other.parameters())
    assert torch.equal(other.forward_actor(rows()), model.forward_actor(rows()))


@compiles
def test_plain_layers_are_one_function(monkeypatch):
    model, x = heads(4, 4), rows()
    monkeypatch.setattr(nn.Sequential, "forward", None)
    model.forward_actor(x).sum().backward()


@compiles
def test_a_gradient_of_a_gradient_is_refused():
    model, weights = heads(4), torch.ones(7, 4, requires_grad=True)
    loss = (model.forward_actor(rows()) * weights).sum()
    (gradient,) = torch.autograd.grad(loss, model.policy_net[0].weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


# ---------------------------------------------------------------- tanh


def kernel_tanh(x: Tensor) -> Tensor:
    y = x.clone()
    call(kernels().tanh_forward, _TANH.pack(1, y.numel(), y.data_ptr(), 0, 0))
    return y


@compiles
def test_tanh_is_exact_over_its_whole_range():
    small = torch.logspace(-38, -0.6, 4001)
    x = torch.cat([torch.linspace(-20, 20, 100_003), torch.linspace(0.2, 0.3, 10_001), small, -small])
    y, expected = kernel_tanh(x), x.double().tanh()
    error = (y.double() - expected).abs() / expected.abs().clamp_min(1e-300)
    assert error[x != 0].max() <= 6e-7
    assert y.abs().max() <= 1.0


@compiles
def test_tanh_at_the_ends():
    inf, nan = torch.inf, torch.nan
    x = torch.tensor([inf, -inf, 1e30, -1e30, 0.0, 1e-45, -1e-45, nan])
    torch.testing.assert_close(kernel_tanh(x), x.tanh(), rtol=0, atol=0, equal_nan=True)


@compiles
@pytest.mark.parametrize("count", [*range(1, 35), 100])
def test_tanh_writes_nothing_behind_the_end(count):
    x = torch.full((count + 64,), 3.0)
    y = x.clone()
    call(kernels().tanh_forward, _TANH.pack(1, count, y.data_ptr(), 0, 0))
    torch.testing.assert_close(y[:count], x[:count].tanh())
    assert torch.equal(y[count:], x[count:])
