"""What may become of a layer between two calls: one that remembered where its parameters were would miss it."""

from collections.abc import Callable

import pytest
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization


def add_one(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output + 1


class AddOne(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight + 1


def _first_linear(layer: nn.Module) -> nn.Linear:
    return next(module for module in layer.children() if isinstance(module, nn.Linear))


def _transposed(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(weight.detach().t().contiguous().t() * 2)


# Of a layer with a linear `out_proj`, and another layer of its kind.
CHANGES: dict[str, Callable[[nn.Module, nn.Module], object]] = {
    "loaded": lambda m, other: m.load_state_dict(other.state_dict()),
    "assigned": lambda m, other: m.load_state_dict(other.state_dict(), assign=True),
    "data": lambda m, _: setattr(m.out_proj.weight, "data", m.out_proj.weight.data + 1),
    "replaced": lambda m, _: setattr(m.out_proj, "weight", _transposed(m.out_proj.weight)),
    "wrapped": lambda m, _: setattr(m, "out_proj", nn.Sequential(m.out_proj, nn.Tanh())),
    "hooked": lambda m, _: _first_linear(m).register_forward_hook(add_one),
    "hooked before": lambda m, _: m.out_proj.register_forward_pre_hook(lambda _, arguments: (arguments[0] + 1,)),
    "parametrised": lambda m, _: register_parametrization(_first_linear(m), "weight", AddOne()),
    "moved": lambda m, _: m.double().float(),
}
every_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
