"""Windowed attention on a CPU: calls of the kernels of ``csrc/attention*``, and the function that autograd knows.

Forward keeps the probabilities; backward computes no score again.

Letters of the shape suffixes: B batch, T time, H heads, K features of a head, W window, V = W - 1.
"""

import struct
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jamba_rl.kernels.library import address, by_heads, call, kernels, needs_grad, resets, seq, thread_count

_INPUTS = struct.Struct("6qd20q")
_RESULTS = struct.Struct("11q")
_GRADIENTS = struct.Struct("19q")
_NO_GRADIENTS = _GRADIENTS.pack(*[0] * 19)
_NO_CACHES = (0, 0, 0, 0, 0, 0)


class AttentionInputs(NamedTuple):
    """What attention reads: float32, on the CPU, age int64. Without the time axis it is one step."""

    qkv: Tensor  # [B, T, 3, H, K], of one step [B, 3, H, K]
    keys_BVHK: Tensor
    values_BVHK: Tensor
    age_B: Tensor
    reset: Tensor | None
    bias_HW: Tensor | None


def kernel_attention(inputs: AttentionInputs) -> tuple[Tensor, Tensor]:
    """Return ``(y [B,T,H,K], age [B])`` after the sequence."""
    if needs_grad((*inputs[:3], inputs.bias_HW)):
        y_BTHK, age_B = _KernelAttention.apply(*inputs)
        return y_BTHK, age_B
    return _forward(_laid_out(inputs), None)


def kernel_attention_step(inputs: AttentionInputs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ``(y [B,H,K], keys [B,V,H,K], values [B,V,H,K], age [B])`` after one step, without a graph."""
    inputs = _laid_out(inputs)
    keys_BVHK = inputs.qkv.new_empty(*inputs.keys_BVHK.shape)
    values_BVHK = inputs.qkv.new_empty(*inputs.keys_BVHK.shape)
    y_BHK, age_B = inputs.qkv.new_empty(*inputs.qkv[:, 0].shape), torch.empty_like(inputs.age_B)
    caches = (*seq(keys_BVHK), *seq(values_BVHK))
    results = _RESULTS.pack(*seq_of_rows(y_BHK, 2), 0, age_B.data_ptr(), *caches)
    call(kernels().attention_step, _pack_inputs(inputs) + results + _NO_GRADIENTS)
    return y_BHK, keys_BVHK, values_BVHK, age_B


def seq_of_rows(tensor: Tensor | None, row_dims: int) -> tuple[int, int, int]:
    """Return the fields of a Seq whose rows are the last axes: address, stride per sequence, stride per step."""
    if tensor is None:
        return 0, 0, 0
    strides = tensor.stride()
    return tensor.data_ptr(), strides[0], strides[1] if len(strides) > 1 + row_dims else 0


def _laid_out(inputs: AttentionInputs) -> AttentionInputs:
    """Return the inputs as the kernel reads them: heads and features contiguous, all other strides may be anything."""
    qkv, keys_BVHK, values_BVHK, age_B, reset, bias_HW = inputs
    return AttentionInputs(
        by_heads(qkv),
        by_heads(keys_BVHK),
        by_heads(values_BVHK),
        age_B.contiguous(),
        reset,
        None if bias_HW is None else bias_HW.contiguous(),
    )


def _forward(inputs: AttentionInputs, kept: Tensor | None) -> tuple[Tensor, Tensor]:
    B, T, _, H, K = inputs.qkv.shape
    y_BTHK, age_B = inputs.qkv.new_empty(B, T, H, K), torch.empty_like(inputs.age_B)
    results = _RESULTS.pack(*seq(y_BTHK), address(kept), age_B.data_ptr(), *_NO_CACHES)
    call(kernels().attention_forward, _pack_inputs(inputs) + results + _NO_GRADIENTS)
    return y_BTHK, age_B


def _pack_inputs(inputs: AttentionInputs) -> bytes:
    qkv, keys_BVHK, values_BVHK, age_B, reset, bias_HW = inputs
    B, *steps, _, H, K = qkv.shape
    T, W = (steps[0] if steps else 1), keys_BVHK.shape[1] + 1
    return _INPUTS.pack(
        B, T, H, K, W,
        thread_count(2 * B * T * H * K * W),
        K**-0.5,
        *_projections(qkv),
        *seq(keys_BVHK),
        *seq(values_BVHK),
        age_B.data_ptr(),
        *resets(reset),
        address(bias_HW),
    )  # fmt: skip


def _projections(qkv: Tensor) -> list[int]:
    """Return the fields of three Seqs: q, k and v, or their gradients."""
    place, *strides = seq_of_rows(qkv, 3)
    apart = qkv.stride()[-3] * qkv.element_size()
    return [field for part in range(3) for field in (place + part * apart, *strides)]


def _room_for_probabilities(inputs: AttentionInputs) -> Tensor:
    (B, T, _, H, _), V, sizes = inputs.qkv.shape, inputs.keys_BVHK.shape[1], kernels()
    width = -(-(V + sizes.rows) // sizes.span) * sizes.span
    return inputs.qkv.new_empty(H, B, -(-T // sizes.rows), sizes.rows, width)


class _KernelAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, Tensor]:
        inputs = _laid_out(AttentionInputs(*args))
        kept = _room_for_probabilities(inputs)
        ctx.save_for_backward(*inputs, kept)
        y_BTHK, age_B = _forward(inputs, kept)
        ctx.mark_non_differentiable(age_B)
        return y_BTHK, age_B

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        *saved, kept = ctx.saved_tensors
        inputs = AttentionInputs(*saved)
        qkv, dy_BTHK = inputs.qkv, by_heads(dy)
        dqkv = qkv.new_empty(*qkv.shape)
        dkeys, dvalues, dbias = (
            # Caches are mostly constants, and their gradients as much work as those of the sequence.
            tensor.new_empty(*tensor.shape) if tensor is not None and ctx.needs_input_grad[i] else None
            for i, tensor in ((1, inputs.keys_BVHK), (2, inputs.values_BVHK), (5, inputs.bias_HW))
        )
        results = _RESULTS.pack(0, 0, 0, kept.data_ptr(), 0, *_NO_CACHES)
        gradients = _GRADIENTS.pack(*seq(dy_BTHK), *_projections(dqkv), *seq(dkeys), *seq(dvalues), address(dbias))
        call(kernels().attention_backward, _pack_inputs(inputs) + results + gradients)
        return dqkv, dkeys, dvalues, None, None, dbias
