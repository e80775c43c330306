"""One step of a rollout: layers with their memory, against the cached step of transformers' layers and model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.peers import hf_config, transformers
from jamba_rl.lab.speed.row import Bar, Figures, Row, make_row, slower
from jamba_rl.lab.speed.timing import Call
from jamba_rl.nn import Jamba, JambaConfig

TheirStep = Callable[[str, str, int, int], Call]

BAR = Bar(5, "x", at_least=True)
KINDS = (("MMMM", "-"), ("AAAA", "-"), ("MMMM", "D"), ("AAAA", "D"))
NAMES = {"M": "Mamba", "A": "attention", "-": "without feed-forward", "D": "with dense feed-forward"}
WHOLE = "MMMA"
HEADS, WINDOW, WIDER = 4, 64, 2


def step(effort: Effort, batch: int = 8, d_model: int = 64) -> list[Row]:
    """Time one step, per layer of four, without gradient.

    Ours always through the public ``Jamba.step``, its final norm and checks included. Theirs once as a user calls it,
    the whole model with its cache, and once layer by layer without any of what surrounds layers. Both remember 63
    steps, which is all that our attention may see; their cache would grow.
    """
    rows = [
        make_row(
            "step",
            f"one cached step per layer, model {WHOLE} {NAMES['D']}, B{batch} d{d_model}, window {WINDOW}",
            "HF model",
            BAR,
            lambda: _measure(effort, WHOLE, "D", batch, d_model, their_model_step),
        )
    ]
    for pattern, ffn in KINDS:
        what = f"one cached step, {NAMES[pattern[0]]} layer {NAMES[ffn]}, B{batch} d{d_model}, window {WINDOW}"
        measured = partial(_measure, effort, pattern, ffn, batch, d_model, their_layer_step)
        rows.append(make_row("step", what, "HF layer alone", BAR, measured))
    return rows


@torch.no_grad()
def _measure(effort: Effort, pattern: str, ffn: str, batch: int, d_model: int, theirs: TheirStep) -> Figures:
    calls = {"theirs": theirs(pattern, ffn, batch, d_model), "ours": our_step(pattern, ffn, batch, d_model)}
    times = effort.time(calls)
    return slower(times["ours"], times["theirs"], "us", per=len(pattern))


def our_step(pattern: str, ffn: str, batch: int, d_model: int) -> Call:
    """One step of a stack that already remembers."""
    sizes: dict[str, Any] = {"window": WINDOW, "position": "none", "num_heads": HEADS, "ffn_mult": WIDER}
    backbone = Jamba(JambaConfig(d_model=d_model, pattern=pattern, ffn_pattern=ffn, **sizes)).eval()
    state = backbone(torch.randn(batch, WINDOW - 1, d_model)).state
    x = torch.randn(batch, d_model)
    return lambda: backbone.step(x, state)


def their_model_step(pattern: str, ffn: str, batch: int, d_model: int) -> Call:
    """One step of the model of transformers, as it is called.

    :raises Absent: transformers is not installed
    """
    model, cache, rewind = _their_model(pattern, batch, d_model)
    x = torch.randn(batch, 1, d_model)

    def call() -> Tensor:
        rewind()
        hidden: Tensor = model(inputs_embeds=x, past_key_values=cache, use_cache=True).last_hidden_state
        return hidden

    return call


def their_layer_step(pattern: str, ffn: str, batch: int, d_model: int) -> Call:
    """One step through the decoder layers of a model, each with or without its feed-forward.

    :raises Absent: transformers is not installed
    """
    model, cache, rewind = _their_model(pattern, batch, d_model)
    x, run = torch.randn(batch, 1, d_model), _whole_layer if ffn == "D" else _mixer_alone

    def call() -> Tensor:
        rewind()
        hidden = x
        for layer in model.layers:
            hidden = run(layer, hidden, cache)
        return hidden

    return call


def _their_model(pattern: str, batch: int, d_model: int) -> tuple[Any, Any, Callable[[], None]]:
    """Return a model, its cache of 63 steps, and what takes the cache back there, or calls would see more and more."""
    package = transformers()
    sizes = {"hidden_size": d_model, "intermediate_size": WIDER * d_model, "num_hidden_layers": len(pattern)}
    heads = {"num_attention_heads": HEADS, "num_key_value_heads": HEADS}
    attention = {}
    if "A" in pattern:
        period = pattern.index("A") + 1
        attention = {"attn_layer_period": period, "attn_layer_offset": period - 1}
    config = hf_config(**sizes, **heads, **attention)
    model, cache = package.JambaModel(config).eval(), package.DynamicCache(config=config)
    past = torch.randn(batch, WINDOW - 1, d_model)
    for layer in model.layers:
        past = _whole_layer(layer, past, cache)
    growing = [layer for layer, mixer in zip(cache.layers, pattern, strict=True) if mixer == "A"]
    filled = [(layer.keys, layer.values) for layer in growing]

    def rewind() -> None:
        for layer, (keys, values) in zip(growing, filled, strict=True):
            layer.keys, layer.values = keys, values

    return model, cache, rewind


def _whole_layer(layer: Callable[..., Tensor], x: Tensor, cache: object) -> Tensor:
    return layer(x, past_key_values=cache)


def _mixer_alone(layer: Any, x: Tensor, cache: object) -> Tensor:
    normed = layer.input_layernorm(x)
    if hasattr(layer, "mamba"):
        return x + layer.mamba(hidden_states=normed, cache_params=cache)
    return x + layer.self_attn(hidden_states=normed, attention_mask=None, past_key_values=cache)[0]
