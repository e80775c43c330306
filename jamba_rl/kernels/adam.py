"""Adam's step for many small tensors on a CPU: calls of the kernels of ``csrc/adam.c``."""

import ctypes
import struct
from collections.abc import Sequence

from torch import Tensor

from jamba_rl.kernels.library import call, kernels

_PARAMETER = struct.Struct("6q")
_ADAM = struct.Struct("2q6d")
_SQUARES = struct.Struct("3q")


class AdamKernel:
    """The step of one group of parameters, whose addresses are packed once.

    :param parameters: what to change
    :param means: running means of their gradients
    :param squares: running means of the squares of those
    :param steps: how many steps there were, one number each; all contiguous, float32, on the CPU
    """

    def __init__(
        self, parameters: Sequence[Tensor], means: Sequence[Tensor], squares: Sequence[Tensor], steps: Sequence[Tensor]
    ) -> None:
        self._tensors = (list(parameters), list(means), list(squares), list(steps))  # else they might be freed
        self._memory = bytearray()
        for parameter, *others in zip(*self._tensors, strict=True):
            addresses = (tensor.data_ptr() for tensor in others)
            self._memory += _PARAMETER.pack(parameter.numel(), parameter.data_ptr(), 0, *addresses)
        self._places = [parameter.data_ptr() for parameter in parameters]
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._words = memoryview(self._memory).cast("q")

    def is_for(self, parameters: Sequence[Tensor]) -> bool:
        """Whether these are the parameters, and still where they were."""
        return [parameter.data_ptr() for parameter in parameters] == self._places

    def sum_squares(self, gradients: Sequence[Tensor]) -> float:
        """Sum of the squares of all gradients, which ``step`` then uses."""
        total = ctypes.c_double()
        self._words[2::6] = memoryview(struct.pack(f"{len(gradients)}q", *(g.data_ptr() for g in gradients))).cast("q")
        call(kernels().sum_squares, _SQUARES.pack(len(gradients), self._address, ctypes.addressof(total)))
        return total.value

    def step(self, lr: float, betas: tuple[float, float], eps: float, weight_decay: float, scale: float) -> None:
        """Change the parameters by the gradients of the latest ``sum_squares``, times ``scale``."""
        packed = _ADAM.pack(len(self._places), self._address, lr, *betas, eps, weight_decay, scale)
        call(kernels().adam, packed)
