"""What calls of kernels for whole layers share: finding the parameters, and whether a kernel may read them.

Nothing is kept between calls. Parameters may be loaded, moved, replaced, hooked or parametrised in between.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jamba_rl.kernels.library import kernels_apply, needs_grad

Names = tuple[tuple[str, str], ...]
Shapes = Sequence[torch.Size | None]
Parameters = Sequence[Tensor | None]
_FLOAT = torch.float32


def find(module: nn.Module | None, name: str) -> Any:
    """Return ``getattr(module, name)``, at once where it is a parameter: the usual search costs as much as a kernel."""
    if module is None:
        return None
    parameters = module._parameters
    return parameters[name] if name in parameters else getattr(module, name)


def find_all(module: nn.Module, names: Names) -> list[Any]:
    """Return parameters of modules inside of this one, each named by (module, parameter); None where there is none."""
    modules = module._modules
    return [find(modules.get(inside), name) for inside, name in names]


def shapes_of(parameters: Parameters) -> list[torch.Size | None]:
    """Return the shapes, None for None."""
    return [None if parameter is None else parameter.shape for parameter in parameters]


def only_multiplies(linear: nn.Module | None) -> bool:
    """Return whether to call the layer is to multiply by its weights: nobody has replaced or hooked it."""
    return type(linear) is nn.Linear and not hooked(linear)


def hooked(module: nn.Module) -> bool:
    """Return whether a call of the module, forward or backward, calls hooks too."""
    hooks = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    return bool(hooks)


def readable(x: Tensor, shapes: Shapes, parameters: Parameters, state: Iterable[Tensor] = ()) -> bool:
    """Return whether kernels can compute with tensors like x, need no graph, and can read the parameters.

    ``shapes`` are those that the parameters must have, None where there must be none.
    """
    if not kernels_apply(x) or needs_grad((*parameters, x, *state)) or torch.is_autocast_enabled("cpu"):
        return False
    return all(map(_fits, parameters, shapes))


def _fits(tensor: Tensor | None, shape: torch.Size | None) -> bool:
    if tensor is None:
        return shape is None
    return tensor.shape == shape and tensor.dtype is _FLOAT and tensor.is_cpu and tensor.is_contiguous()


def is_float(tensor: Tensor, shape: tuple[int, ...] | None) -> bool:
    """Return whether the tensor is float32, on the CPU, and of this shape."""
    return tensor.shape == shape and tensor.dtype is _FLOAT and tensor.is_cpu


def is_reset(reset: Tensor | None, batch: int) -> bool:
    """Return whether this can be the resets of one step."""
    return reset is None or (reset.dtype is torch.bool and reset.shape == (batch,) and reset.is_cpu)
