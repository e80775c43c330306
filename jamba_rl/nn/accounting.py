"""What a stack costs: parameters, arithmetic, memory, and how much of the machine it uses.

Conventions are those of PaLM (Chowdhery et al. 2022, appendix B) and nanoGPT: a multiply-add is 2 operations, a
backward pass costs twice its forward pass, what is computed again for gradient checkpointing does not count, attention
is not discounted for being causal, and of the experts only those count that a token goes to. The selective scan is 9
operations per channel and state (Gu & Dao 2023), three times that with its backward pass.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jamba_rl.nn.experts import Experts
from jamba_rl.nn.jamba import Block, Jamba
from jamba_rl.nn.patterns import FEEDFORWARDS, MIXERS


@dataclass(frozen=True)
class Parameters:
    """How many numbers a module learns; ``active`` are those that one token meets."""

    total: int
    active: int
    embedding: int


@dataclass(frozen=True)
class BlockCost:
    """One row of a stack's table.

    :ivar kind: mixer and feed-forward, in words
    :ivar parameters: all of them
    :ivar active: those that one token meets
    :ivar flops: operations per token, forward and backward
    :ivar state_bytes: memory per sequence at this context
    """

    kind: str
    parameters: int
    active: int
    flops: int
    state_bytes: int


def count_parameters(module: nn.Module) -> Parameters:
    """Count parameters; tied ones once."""
    total = sum(parameter.numel() for parameter in module.parameters())
    embedding = sum(layer.weight.numel() for layer in module.modules() if isinstance(layer, nn.Embedding))
    idle = 0
    for layer in module.modules():
        if isinstance(layer, Experts):
            config = layer.config
            held = sum(parameter.numel() for parameter in layer.parameters())
            idle += held - held * config.top_k // config.num_experts
    return Parameters(total, total - idle, embedding)


def flops_per_token(stack: Jamba, context: int) -> int:
    """Return operations per token, forward and backward, where ``context`` steps are in memory."""
    norm = count_parameters(stack.norm).active
    return sum(row.flops for row in cost_table(stack, context)) + 6 * norm


def cost_table(stack: Jamba, context: int) -> list[BlockCost]:
    """Return one row per block.

    :param context: steps in memory, which only attention without a window holds all
    """
    config = stack.config
    rows = []
    for block, mixer, ffn in zip(stack.blocks, config.pattern, config.ffn_pattern, strict=True):
        assert isinstance(block, Block)
        counted = count_parameters(block)
        kind = MIXERS[mixer] if ffn == "-" else f"{MIXERS[mixer]} + {FEEDFORWARDS[ffn]}"
        flops = 6 * counted.active + _memory_flops(stack, mixer, context)
        rows.append(BlockCost(kind, counted.total, counted.active, flops, _state_bytes(stack, block, mixer, context)))
    return rows


def convolution_flops(module: nn.Module, look: Callable[[], object]) -> int:
    """Return operations of a module's convolutions over images in a call, forward and backward.

    Every parameter meets every place of the map that comes out.
    """
    counted = 0

    def count(layer: nn.Module, _: object, maps_BCHW: Tensor) -> None:
        nonlocal counted
        counted += 6 * count_parameters(layer).total * maps_BCHW[:, 0].numel()

    hooks = [layer.register_forward_hook(count) for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    try:
        with torch.no_grad():
            look()
    finally:
        for hook in hooks:
            hook.remove()
    return counted


def mfu(tokens_per_second: float, flops: float, peak: float) -> float:
    """Return the share of the machine's arithmetic that a training run uses (model FLOPs utilisation).

    :param tokens_per_second: tokens trained on
    :param flops: of ``flops_per_token``
    :param peak: operations per second the machine can do, of its data sheet or of ``measure_peak_flops``
    :raises ValueError: one of them is not above 0
    """
    for name, value in (("tokens_per_second", tokens_per_second), ("flops", flops), ("peak", peak)):
        if not value > 0:
            raise ValueError(f"{name} must be above 0, was {value!r}")
    return tokens_per_second * flops / peak


def measure_peak_flops(
    device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32, size: int = 1024, repeats: int = 10
) -> float:
    """Return operations per second of large matrix products, with as many threads as torch has now."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(repeats + 1):  # the first one warms up
        start = time.perf_counter()
        product = a @ b
        if product.is_cuda:
            torch.cuda.synchronize(product.device)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(seconds[1:])


def _memory_flops(stack: Jamba, mixer: str, context: int) -> int:
    """Operations of a mixer that are no product with a parameter."""
    config = stack.config
    if mixer == "A":
        seen = context if config.window is None else min(context, config.window)
        return 12 * config.d_model * seen
    if mixer == "M":
        return config.d_inner * (27 * config.d_state + 18 * config.rotations)  # a turn: 6 forward, and twice that back
    return 27 * config.d_hidden if mixer == "S" else 0


def _state_bytes(stack: Jamba, block: Block, mixer: str, context: int) -> int:
    held = sum(part.nbytes for part in block.initial_state(1))
    if mixer == "A" and stack.config.window is None:
        config = stack.config
        head = config.d_model // config.num_heads
        held += 2 * context * config.num_kv_heads * head * stack.norm.weight.element_size()
    return held
