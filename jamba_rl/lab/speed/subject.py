"""Whoever the general benchmark times: a stack of ours, or someone else's of the same size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from jamba_rl.lab.speed.peers import find, hf_config, transformers
from jamba_rl.lab.speed.row import Absent
from jamba_rl.lab.speed.timing import Call
from jamba_rl.nn import Jamba, JambaConfig

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Subject:
    """A module that maps (B, T, d) to the same, and how it is called.

    :ivar slow: a sample of it takes seconds, so few rounds have to do
    :ivar against: name of the one of ours that it is held against, for someone else's
    """

    module: nn.Module
    forward: Forward
    d_model: int
    slow: bool = False
    against: str = ""

    def forward_call(self, batch: int, steps: int) -> Call:
        """A forward pass as one that acts or evaluates makes it."""
        x = torch.randn(batch, steps, self.d_model)

        def call() -> object:
            self.module.eval()
            with torch.inference_mode():
                return self.forward(x)

        return call

    def training_call(self, batch: int, steps: int) -> Call:
        """Forward, backward and a step of Adam, whose rate is 0 so that all calls find the same weights."""
        x = torch.randn(batch, steps, self.d_model)
        optimizer = torch.optim.Adam(self.module.parameters(), lr=0.0)
        weight = torch.randn(batch, steps, self.d_model)

        def call() -> None:
            self.module.train()
            (self.forward(x) * weight).sum().backward()
            optimizer.step()
            optimizer.zero_grad()

        return call


Maker = Callable[[], Subject]


def ours(config: JambaConfig) -> Subject:
    """A stack of this package."""
    stack = Jamba(config)
    return Subject(stack, lambda x: stack(x).hidden, config.d_model)


def beside(own: str, make: Maker) -> Maker:
    """Have what someone else wrote held against one of ours."""
    return lambda: replace(make(), against=own)


def made(makers: dict[str, Maker]) -> tuple[dict[str, Subject], dict[str, str]]:
    """Make whom can be made; of the others say why not."""
    subjects, absent = {}, {}
    for name, make in makers.items():
        try:
            subjects[name] = make()
        except Absent as error:
            absent[name] = str(error)
    return subjects, absent


def like(config: JambaConfig) -> dict[str, Maker]:
    """What others have of the size of a stack with dense feed-forwards: Mamba and attention alone."""
    return {"transformers": partial(_transformers, config), "mambapy": partial(_mambapy, config)}


def layers_like(config: JambaConfig) -> dict[str, dict[str, Maker]]:
    """By the letter of a layer, what others have of it."""
    width = config.d_model
    return {
        "M": {"transformers": partial(_their_mixer, width), "mambapy": partial(_mambapy_block, width)},
        "A": {"torch": partial(_torch_attention, width, config.num_heads)},
        "L": {"torch": partial(_torch_rnn, nn.LSTM, width)},
        "G": {"torch": partial(_torch_rnn, nn.GRU, width)},
    }


def _transformers(config: JambaConfig) -> Subject:
    period = config.pattern.index("A") + 1
    model = transformers().JambaModel(
        hf_config(
            hidden_size=config.d_model,
            intermediate_size=config.d_ffn,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            attn_layer_period=period,
            attn_layer_offset=period - 1,
        )
    )
    return Subject(model, lambda x: _hidden(model, x), config.d_model, slow=True)


def _hidden(model: Any, x: Tensor) -> Tensor:
    hidden: Tensor = model(inputs_embeds=x, use_cache=False).last_hidden_state
    return hidden


def _mambapy(config: JambaConfig) -> Subject:
    package = find("mambapy", "mambapy.jamba")
    period = config.pattern.index("A") + 1
    sizes = package.JambaLMConfig(
        d_model=config.d_model,
        n_layers=config.num_layers,
        mlp_size=config.d_ffn,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        attn_layer_period=period,
        attn_layer_offset=period - 1,
        num_experts=1,
    )
    model = package.Jamba(sizes)
    return Subject(model, lambda x: model(x)[0], config.d_model, slow=True)


def _their_mixer(width: int) -> Subject:
    modeling = find("transformers", "transformers.models.jamba.modeling_jamba")
    mixer = modeling.JambaMambaMixer(hf_config(hidden_size=width, num_attention_heads=4), layer_idx=0)
    return Subject(mixer, mixer, width, slow=True)


def _mambapy_block(width: int) -> Subject:
    package = find("mambapy", "mambapy.mamba")
    block = package.MambaBlock(package.MambaConfig(d_model=width, n_layers=1))
    return Subject(block, block, width)


def _torch_attention(width: int, heads: int) -> Subject:
    layer = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        y: Tensor = layer(x, x, x, attn_mask=mask, is_causal=True, need_weights=False)[0]
        return y

    return Subject(layer, forward, width)


def _torch_rnn(kind: Callable[..., nn.RNNBase], width: int) -> Subject:
    layer = kind(width, width, batch_first=True)
    return Subject(layer, lambda x: layer(x)[0], width)
