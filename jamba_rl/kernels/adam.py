"""Adam's step for many small tensors on a CPU: calls of the kernels of ``csrc/adam.c``."""

import ctypes
import operator
import struct

from torch import Tensor

from jamba_rl.kernels.library import call, kernels

_FIELDS = 6  # of a Parameter: size, then the addresses of its values, gradient, means, squares and step
_ADAM = struct.Struct("2q6d")
_SQUARES = struct.Struct("3q")


class AdamKernel:
    """The step of one group of parameters, whose addresses are packed once.

    :param parameters: what to change
    :param moments: running means of their gradients, then of the squares of those, then how many steps there were, one
        number each; all contiguous, float32, on the CPU
    """

    def __init__(self, parameters: list[Tensor], moments: list[Tensor]) -> None:
        self._tensors = [*parameters, *moments]  # else they might be freed
        self._places = _addresses(parameters)
        count = self._count = len(parameters)
        assert [moment.numel() for moment in moments[: 2 * count]] == 2 * [p.numel() for p in parameters]
        self._words = (ctypes.c_int64 * (_FIELDS * count))()
        self._write(0, [parameter.numel() for parameter in parameters])
        self._write(1, self._places)
        for i in range(3):
            self._write(3 + i, _addresses(moments[i * count : (i + 1) * count]))

    def is_for(self, parameters: list[Tensor], moments: list[Tensor]) -> bool:
        """Whether these are the tensors, and the parameters still where they were."""
        tensors = [*parameters, *moments]
        if len(tensors) != len(self._tensors) or not all(map(operator.is_, tensors, self._tensors)):
            return False
        return _addresses(parameters) == self._places

    def sum_squares(self, gradients: list[Tensor]) -> float:
        """Sum of the squares of all gradients, which ``step`` then uses."""
        total = ctypes.c_double()
        self._write(2, _addresses(gradients))
        call(kernels().sum_squares, _SQUARES.pack(self._count, ctypes.addressof(self._words), ctypes.addressof(total)))
        return total.value

    def step(self, lr: float, betas: tuple[float, float], eps: float, weight_decay: float, scale: float) -> None:
        """Change the parameters by the gradients of the latest ``sum_squares``, times ``scale``."""
        address = ctypes.addressof(self._words)
        call(kernels().adam, _ADAM.pack(self._count, address, lr, *betas, eps, weight_decay, scale))

    def _write(self, field: int, values: list[int]) -> None:
        self._words[field::_FIELDS] = values  # type: ignore[assignment]


def _addresses(tensors: list[Tensor]) -> list[int]:
    return [tensor.data_ptr() for tensor in tensors]
