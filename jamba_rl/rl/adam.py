"""Adam for networks whose parameters are many and small."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from jamba_rl.kernels.adam import AdamKernel
from jamba_rl.kernels.library import kernels_apply

Part = tuple[list[Tensor], list[Tensor]]  # of a group: parameters and their gradients

_torch_step = inspect.unwrap(torch.optim.Adam.step)  # without the hooks, which our own step calls
_OTHER_FORMS = ("amsgrad", "maximize", "decoupled_weight_decay", "capturable", "differentiable")


class Adam(torch.optim.Adam):
    """``torch.optim.Adam`` that clips gradients as it steps, and does all tensors of a group in one call on the CPU.

    To clear, clip and step some twenty tensors of a few kilobytes one by one takes a third of the time that their
    gradients take. Numbers and saved states are those of ``torch.optim.Adam``.

    Arguments are those of ``torch.optim.Adam`` that change the numbers: ``lr``, ``betas``, ``eps``, ``weight_decay``.

    >>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> optimizer = Adam([weight], lr=0.1)
    >>> weight.sum().backward()
    >>> optimizer.step(max_norm=0.5)
    >>> weight.data
    tensor([0.9000, 1.9000])
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, fused=True)
        self._step_supports_amp_scaling = False  # a GradScaler is to scale back by itself
        self._kernels: dict[int, AdamKernel] = {}

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""
        if not set_to_none:
            super().zero_grad(set_to_none=False)
            return
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], float] | None = None, *, max_norm: float | None = None
    ) -> float | None:
        """Make a step of all parameters that have a gradient.

        :param closure: computes gradients once more and returns the loss
        :param max_norm: scale all gradients together down to this norm if theirs is larger, as
            ``torch.nn.utils.clip_grad_norm_`` does; they may be left as they were
        :return: what the closure returned
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        parts = [_with_gradients(group["params"]) for group in self.param_groups]
        moved = [parameter for parameters, _ in parts for parameter in parameters]
        if all(map(self._has_kernel, range(len(parts)), parts)):
            self._call_kernels(parts, max_norm)
        else:
            if max_norm is not None:
                torch.nn.utils.clip_grad_norm_(moved, max_norm)
            _torch_step(self)
        increment_version(moved)  # else a graph from before the step would go back through what is there now
        return loss

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._kernels = {}  # they hold addresses; this is also where a state is loaded

    def _has_kernel(self, index: int, part: Part) -> bool:
        """Whether a kernel can make the step of this part of a group; it is made where there is none for it yet."""
        parameters, gradients = part
        if not parameters:
            return True  # there is nothing to do
        if not _readable(gradients) or any(map(self.param_groups[index].get, _OTHER_FORMS)):
            return False
        states = [self.state[parameter] or self._started(parameter) for parameter in parameters]
        moments = [state[name] for name in ("exp_avg", "exp_avg_sq", "step") for state in states]
        if index not in self._kernels or not self._kernels[index].is_for(parameters, moments):
            if not (_readable(parameters) and _readable(moments)):
                return False
            self._kernels[index] = AdamKernel(parameters, moments)
        return True

    def _started(self, parameter: Tensor) -> dict[str, Tensor]:
        moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
        self.state[parameter] = {"step": torch.zeros((), dtype=torch.float32), **moments}
        return self.state[parameter]

    def _call_kernels(self, parts: list[Part], max_norm: float | None) -> None:
        used = [index for index, (parameters, _) in enumerate(parts) if parameters]
        sums = [self._kernels[index].sum_squares(parts[index][1]) for index in used]
        # in this order what is not a number stays so
        scale = 1.0 if max_norm is None else min(max_norm / (math.sqrt(math.fsum(sums)) + 1e-6), 1.0)
        for index in used:
            group = self.param_groups[index]
            self._kernels[index].step(group["lr"], group["betas"], group["eps"], group["weight_decay"], scale)


def _with_gradients(parameters: list[Tensor]) -> Part:
    """The parameters that have a gradient, and these."""
    pairs = [(parameter, gradient) for parameter in parameters if (gradient := parameter.grad) is not None]
    return [parameter for parameter, _ in pairs], [gradient for _, gradient in pairs]


def _readable(tensors: list[Tensor]) -> bool:
    """Whether kernels can read all of these."""
    for tensor in tensors:
        if not tensor.is_cpu or tensor.dtype is not torch.float32 or not tensor.is_contiguous():
            return False
    return kernels_apply(tensors[0])
