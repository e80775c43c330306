"""Linear layers by oneDNN: against the layer itself, and where it calls that."""

import pytest
import torch
from torch import Tensor, nn

from jamba_rl.kernels import linear as module
from jamba_rl.kernels.linear import linear
from tests.nn.changes import AddOne, add_one
from tests.nn.scan.problems import needs_kernel

onednn = pytest.mark.skipif(
    bool(needs_kernel) or not torch.backends.mkldnn.is_available(), reason=str(needs_kernel or "torch without oneDNN")
)
WIDE = (96, 160)  # in, out: with 256 rows enough to be worth the call
shapes = pytest.mark.parametrize("shape", [(256,), (4, 64), (2, 2, 64)], ids=str)


def layer(features: tuple[int, int] = WIDE, bias: bool = True, seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(*features, bias=bias)


def rows(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def gradients(y: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad((y * rows(*y.shape, seed=2).to(y.dtype)).sum(), inputs)


def assert_same(model: nn.Linear, x: Tensor) -> None:
    x = x.detach().requires_grad_()
    inputs = [x, *model.parameters()]
    y, expected = linear(model, x), model(x)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradients(y, inputs), gradients(expected, inputs), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(linear(model, x), expected, rtol=1e-5, atol=1e-5)


@shapes
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("features", [WIDE, (3, 2), (1, 20_000), (20_000, 1)], ids=str)
def test_values_and_gradients_are_those_of_the_layer(path, features, bias, shape):
    assert_same(layer(features, bias), rows(*shape, features[0]))


@pytest.mark.parametrize("count", [0, 1, 127, 128, 129])
def test_any_number_of_rows(path, count):
    assert_same(layer((160, 160)), rows(count, 160))


def test_a_vector_and_features_of_none(path):
    assert_same(layer(), rows(96))
    assert linear(nn.Linear(3, 2), rows(0, 3)).shape == (0, 2)
    with pytest.warns(UserWarning, match="zero-element"):
        model = nn.Linear(0, 2)
    assert linear(model, rows(200, 0)).shape == (200, 2)


def test_strides_do_not_matter(path):
    model = layer()
    assert_same(model, rows(96, 256).t())
    assert_same(model, rows(256, 192)[:, ::2])
    assert_same(model, rows(64, 4, 96).transpose(0, 1))
    assert_same(model, rows(1, 96).expand(256, 96))


@pytest.mark.parametrize(
    "weights",
    [rows(160, 256).t(), torch.ones(()).expand(256, 160), rows(256, 320)[:, ::2]],
    ids=["turned", "expanded", "apart"],
)
def test_the_gradient_may_have_any_strides(path, weights):
    model, x = layer(), rows(256, 96).requires_grad_()
    inputs = [x, *model.parameters()]
    got = torch.autograd.grad(linear(model, x), inputs, weights)
    torch.testing.assert_close(got, torch.autograd.grad(model(x), inputs, weights), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_numbers(path, dtype):
    model = layer().to(dtype)
    y = linear(model, rows(256, 96).to(dtype))
    assert torch.equal(y, model(rows(256, 96).to(dtype)))
    with pytest.raises(RuntimeError):
        linear(model, rows(256, 96))


CHANGES = {
    "hooked": lambda model: model.register_forward_hook(add_one),
    "hooked before": lambda model: model.register_forward_pre_hook(lambda _, arguments: (arguments[0] + 1,)),
    "hooked behind": lambda model: model.register_full_backward_hook(lambda _, given, __: (given[0] + 1,)),
    "hooked before behind": lambda model: model.register_full_backward_pre_hook(lambda _, given: (given[0] + 1,)),
    "parametrised": lambda model: nn.utils.parametrize.register_parametrization(model, "weight", AddOne()),
    "turned": lambda model: setattr(model, "weight", nn.Parameter(rows(96, 160).t())),
    "data": lambda model: setattr(model.weight, "data", model.weight.data + 1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_layer_may_be_changed_and_hooked(path, change):
    model = layer()
    change(model)
    assert_same(model, rows(256, 96))


@pytest.mark.parametrize("frozen", ["weight", "bias"])
def test_frozen_parameters_get_no_gradient(path, frozen):
    model, x = layer(), rows(256, 96).requires_grad_()
    getattr(model, frozen).requires_grad_(False)
    linear(model, x).sum().backward()
    assert {name for name, p in model.named_parameters() if p.grad is None} == {frozen}
    assert x.grad is not None


def test_autocast_is_respected(path):
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(layer(), rows(256, 96)).dtype is torch.bfloat16


def test_weights_changed_before_going_back_are_noticed(path):
    model, x = layer(), rows(256, 96).requires_grad_()
    y = linear(model, x).sum()
    with torch.no_grad():
        model.weight.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


@onednn
def test_wide_layers_do_not_call_torch(monkeypatch):
    monkeypatch.setattr(module, "_called", None)
    linear(layer(), rows(256, 96)).sum().backward()


@pytest.mark.parametrize(("features", "count"), [((8, 8), 256), (WIDE, 127)], ids=["narrow", "few rows"])
def test_what_is_not_worth_it_does(features, count, monkeypatch):
    monkeypatch.setattr(module, "_product", None)
    assert linear(layer(features), rows(count, features[0])).shape == (count, features[1])


@onednn
def test_a_gradient_of_a_gradient_is_refused():
    model, x, weights = layer(), rows(256, 96), torch.ones(160, requires_grad=True)
    (gradient,) = torch.autograd.grad((linear(model, x) * weights).sum(), model.weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
