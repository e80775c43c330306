"""Adam for networks whose parameters are many and small."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from jamba_rl.kernels.adam import AdamKernel
from jamba_rl.kernels.library import kernels_apply


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
        """Make a step.

        :param closure: computes gradients once more and returns the loss
        :param max_norm: scale all gradients together down to this norm if theirs is larger, as
            ``torch.nn.utils.clip_grad_norm_`` does; they may be left as they were
        :return: what the closure returned
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if all(map(self._has_kernel, range(len(self.param_groups)))):
            self._call_kernels(max_norm)
        else:
            if max_norm is not None:
                parameters = [parameter for group in self.param_groups for parameter in group["params"]]
                torch.nn.utils.clip_grad_norm_(parameters, max_norm)
            super().step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state, also one of ``torch.optim.Adam``."""
        super().load_state_dict(state_dict)
        self._kernels = {}

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__()  # without the kernels, which hold addresses

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._kernels = {}

    def _has_kernel(self, index: int) -> bool:
        """Whether a kernel can make the step of a group; it is made where there is none yet."""
        parameters, kernel = self.param_groups[index]["params"], self._kernels.get(index)
        if not _readable([parameter.grad for parameter in parameters]):
            return False
        if kernel is None or not kernel.is_for(parameters):
            if not _readable(parameters):
                return False
            states = [self._started(parameter) for parameter in parameters]
            columns = [[state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step")]
            self._kernels[index] = AdamKernel(parameters, *columns)
        return True

    def _started(self, parameter: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
            state.update(step=torch.zeros(()), **moments)
        return state

    def _call_kernels(self, max_norm: float | None) -> None:
        pairs = [(self._kernels[index], group) for index, group in enumerate(self.param_groups)]
        sums = [kernel.sum_squares([p.grad for p in group["params"]]) for kernel, group in pairs]
        scale = 1.0 if max_norm is None else min(1.0, max_norm / (math.sqrt(math.fsum(sums)) + 1e-6))
        for kernel, group in pairs:
            kernel.step(group["lr"], group["betas"], group["eps"], group["weight_decay"], scale)


def _readable(tensors: list[Tensor | None]) -> bool:
    """Whether kernels can read all of these, which lie on one device."""
    for tensor in tensors:
        if tensor is None or tensor.dtype is not torch.float32 or not tensor.is_contiguous():
            return False
    return kernels_apply(tensors[0])  # type: ignore[arg-type]
