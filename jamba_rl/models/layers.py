"""The table of a model's layers: what each costs, and what it remembers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from jamba_rl.models.classifier import ImageClassifier
from jamba_rl.nn import Jamba
from jamba_rl.nn.accounting import cost_table, count_parameters, flops_per_token
from jamba_rl.nn.patterns import FEEDFORWARDS, MIXERS

NUMBERS = ("parameters", "active", "flops", "state_bytes", "kv_bytes")
HEADER = ("layer", "mixer", "feed-forward", "parameters", "active", "FLOPs/token", "state bytes", "KV bytes")


@dataclass(frozen=True)
class Layer:
    """One row.

    :ivar name: number of the block, or what else it is
    :ivar mixer: in words
    :ivar feed_forward: in words
    :ivar parameters: all of them
    :ivar active: those that one token meets
    :ivar flops: operations per token, forward and backward, as of ``jamba_rl.nn.accounting``
    :ivar state_bytes: memory of one sequence, but for keys and values
    :ivar kv_bytes: keys and values of one sequence at this context
    """

    name: str
    mixer: str
    feed_forward: str
    parameters: int
    active: int
    flops: int
    state_bytes: int
    kv_bytes: int

    @property
    def cells(self) -> tuple[str, ...]:
        """As text, in the order of ``HEADER``."""
        numbers = (self.parameters, self.active, self.flops, self.state_bytes, self.kv_bytes)
        return (self.name, self.mixer, self.feed_forward, *(f"{number:,}" for number in numbers))


@dataclass(frozen=True)
class LayerTable:
    """Rows of the blocks, of everything else, and of the whole; ``str`` is a Markdown table."""

    context: int
    blocks: tuple[Layer, ...]
    rest: Layer
    total: Layer

    def __str__(self) -> str:
        rows = [HEADER, *(layer.cells for layer in (*self.blocks, self.rest, self.total))]
        widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
        lines = ["| " + " | ".join(_aligned(row, widths)) + " |" for row in rows]
        lines.insert(1, "|" + "|".join("-" * (w + 1) + ("-" if i < 3 else ":") for i, w in enumerate(widths)) + "|")
        return "\n".join(lines)


def layer_table(
    model: nn.Module, context: int = 2048, own_state: int = 0, convolutions: int | None = None
) -> LayerTable:
    """Return the table of a backbone, or of the backbones inside of a model; of several, blocks say whose they are.

    Parameters of a model around its backbones (embedding, heads) are the row ``rest``; an embedding looks up and does
    not multiply, convolutions meet every place of an image, other parameters are taken to meet every token once.

    :param context: tokens in memory, which only attention without a window keeps all
    :param own_state: bytes that the model remembers beside its backbones
    :param convolutions: operations per token of the convolutions over images, see
        ``jamba_rl.nn.accounting.convolution_flops``; None where an image classifier knows them, or there are none
    :raises ValueError: there is no backbone, or what its convolutions cost is not known

    >>> from jamba_rl.nn import JambaConfig
    >>> print(layer_table(Jamba(JambaConfig(d_model=8, pattern="N", ffn_pattern="D")), context=16))
    | layer | mixer | feed-forward | parameters | active | FLOPs/token | state bytes | KV bytes |
    |-------|-------|--------------|-----------:|-------:|------------:|------------:|---------:|
    | 0     | none  | dense        |        392 |    392 |       2,352 |           0 |        0 |
    | rest  |       |              |          8 |      8 |          48 |           0 |        0 |
    | total |       |              |        400 |    400 |       2,400 |           0 |        0 |
    """
    stacks = {name: module for name, module in model.named_modules() if isinstance(module, Jamba)}
    if not stacks:
        raise ValueError(f"a table is of a backbone; {type(model).__name__} has none")
    blocks: list[Layer] = []
    for name, stack in stacks.items():
        blocks += _blocks(stack, f"{name.partition('.')[0]} " if len(stacks) > 1 else "", context)
    counted = count_parameters(model)
    convolutions = _convolutions(model) if convolutions is None else convolutions
    inside = sum(count_parameters(stack).total for stack in stacks.values())
    once = counted.total - inside - _looked_up(model) - _convolved(model)
    flops = sum(flops_per_token(stack, context) for stack in stacks.values())
    rest = Layer(
        "rest",
        "",
        "",
        counted.total - sum(block.parameters for block in blocks),
        counted.active - sum(block.active for block in blocks),
        flops - sum(block.flops for block in blocks) + 6 * once + convolutions,
        own_state + sum(8 for stack in stacks.values() if stack.position is not None),  # an age, in one int64
        0,
    )
    sums = [sum(getattr(layer, name) for layer in (*blocks, rest)) for name in NUMBERS]
    return LayerTable(context, tuple(blocks), rest, Layer("total", "", "", *sums))


def _blocks(stack: Jamba, whose: str, context: int) -> list[Layer]:
    rows = []
    for i, row in enumerate(cost_table(stack, context)):
        mixer, feed_forward = stack.config.pattern[i], stack.config.ffn_pattern[i]
        # Attention also counts the steps of its episode, in one int64.
        state = 8 if mixer == "A" else row.state_bytes
        words = (f"{whose}{i}", MIXERS[mixer], FEEDFORWARDS[feed_forward])
        rows.append(Layer(*words, row.parameters, row.active, row.flops, state, row.state_bytes - state))
    return rows


def _looked_up(model: nn.Module) -> int:
    """Parameters outside of backbones that only embed: a tied embedding also multiplies, as the head."""
    own = {id(part) for module in model.modules() if isinstance(module, Jamba) for part in module.modules()}
    heads = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)}
    embeddings = [m for m in model.modules() if isinstance(m, nn.Embedding) and id(m) not in own]
    return sum(m.weight.numel() for m in embeddings if id(m.weight) not in heads)


def _convolutions(model: nn.Module) -> int:
    if isinstance(model, ImageClassifier):
        return model.convolution_flops()
    if _convolved(model):
        raise ValueError("what convolutions cost depends on the size of images: count it, and give convolutions=")
    return 0


def _convolved(model: nn.Module) -> int:
    """Parameters of convolutions over images, which meet a token more than once."""
    return sum(count_parameters(module).total for module in model.modules() if isinstance(module, nn.Conv2d))


def _aligned(row: tuple[str, ...], widths: list[int]) -> list[str]:
    return [cell.ljust(w) if i < 3 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
