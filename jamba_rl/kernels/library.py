"""The compiled kernels as Python functions, and what packing their arguments takes.

Every kernel takes one struct of 8-byte fields: sizes, addresses and strides, packed in the order of its declaration in
``csrc/``. Memory belongs to torch; calls release the interpreter lock.
"""

import ctypes
import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from jamba_rl.kernels import build

Kernel = Callable[[bytes], int]


@dataclass(frozen=True)
class Kernels:
    """The entry points, and the sizes that the library was compiled for."""

    scan_forward: Kernel
    scan_backward: Kernel
    conv_forward: Kernel
    conv_backward: Kernel
    norm_forward: Kernel
    norm_backward: Kernel
    turn_rows: Kernel
    turn_rows_backward: Kernel
    turn_states: Kernel
    turn_states_backward: Kernel
    mamba_step: Kernel
    attention_forward: Kernel
    attention_backward: Kernel
    attention_step: Kernel
    attention_layer: Kernel
    feedforward: Kernel
    tanh_forward: Kernel
    tanh_backward: Kernel
    gaussian_forward: Kernel
    gaussian_backward: Kernel
    ppo_loss: Kernel
    sum_squares: Kernel
    adam: Kernel
    lanes: int
    chunk: int
    tile: int
    rows: int
    span: int


@functools.cache
def kernels() -> Kernels:
    """Return the kernels; raises RuntimeError where they are switched off or cannot be built (see ``build.py``)."""
    library = build.library()
    if library is None:
        raise RuntimeError("no compiled kernel: it needs a C compiler, and JAMBA_RL_KERNEL not switched off")
    sizes, blocks = (ctypes.c_int64 * 3)(), (ctypes.c_int64 * 2)()
    library.jamba_sizes(sizes)
    library.jamba_attention_sizes(blocks)
    (lanes, chunk, tile), (rows, span) = sizes, blocks
    return Kernels(
        library.jamba_scan_forward,
        library.jamba_scan_backward,
        library.jamba_conv_forward,
        library.jamba_conv_backward,
        library.jamba_norm_forward,
        library.jamba_norm_backward,
        library.jamba_turn_rows,
        library.jamba_turn_rows_backward,
        library.jamba_turn_states,
        library.jamba_turn_states_backward,
        library.jamba_mamba_step,
        library.jamba_attention_forward,
        library.jamba_attention_backward,
        library.jamba_attention_step,
        library.jamba_attention_layer,
        library.jamba_feedforward,
        library.jamba_tanh_forward,
        library.jamba_tanh_backward,
        library.jamba_gaussian_forward,
        library.jamba_gaussian_backward,
        library.jamba_ppo_loss,
        library.jamba_sum_squares,
        library.jamba_adam,
        lanes,
        chunk,
        tile,
        rows,
        span,
    )


def kernels_apply(x: Tensor) -> bool:
    """Return whether there are kernels, and they can compute with tensors like this one.

    While torch compiles, they cannot: it has to see torch operations.
    """
    if torch.compiler.is_compiling():
        return False
    return x.is_cpu and x.dtype is not torch.float64 and build.library() is not None


def call(kernel: Kernel, packed: bytes) -> None:
    """Run a kernel, or raise MemoryError."""
    if kernel(packed):
        raise MemoryError("no memory for the scan's work space")


def needs_grad(tensors: Iterable[Tensor | None]) -> bool:
    """Return whether autograd has to hear of a call with these arguments."""
    if torch.is_grad_enabled():
        for tensor in tensors:
            if tensor is not None and tensor.requires_grad:
                return True
    return False


def like(tensor: Tensor | None) -> Tensor | None:
    """Return contiguous uninitialised memory for the gradient of a tensor, None for None."""
    return None if tensor is None else tensor.new_empty(*tensor.shape)


def rows(tensor: Tensor) -> Tensor:
    """Return the tensor, copied only if its last axis is not contiguous: the other strides may be anything."""
    return tensor if tensor.stride()[-1] == 1 else tensor.contiguous()


def by_heads(tensor: Tensor) -> Tensor:
    """Return the tensor, copied only if its last two axes are not contiguous: the other strides may be anything."""
    return tensor if tensor.stride()[-2:] == (tensor.shape[-1], 1) else tensor.contiguous()


def seq(tensor: Tensor | None) -> tuple[int, int, int]:
    """Return the fields of a Seq: address, stride per sequence, stride per step (0 for a tensor of one step)."""
    if tensor is None:
        return 0, 0, 0
    strides = tensor.stride()
    return tensor.data_ptr(), strides[0], strides[1] if len(strides) > 2 else 0


def resets(reset: Tensor | None) -> tuple[int, int, int]:
    """Return the fields of Resets, for ``[B,T]`` or, for one step, ``[B]``."""
    if reset is None:
        return 0, 0, 0
    strides = reset.stride()
    return reset.data_ptr(), strides[0], strides[1] if len(strides) > 1 else 0


def address(tensor: Tensor | None) -> int:
    """Return where a contiguous tensor lies, 0 for None."""
    return 0 if tensor is None else tensor.data_ptr()


def thread_count(work: int) -> int:
    """Return how many threads a kernel may use that does about ``work`` multiplications of vectors' elements.

    Starting a thread costs as much as some 250,000 of them.
    """
    if work < 500_000:
        return 1
    return max(1, min(torch.get_num_threads(), work // 250_000))
