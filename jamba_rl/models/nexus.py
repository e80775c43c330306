"""A language model in the form of the Nexus curriculum: a pattern, experts every n layers, a state per layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jamba_rl.models.check import check_ids
from jamba_rl.models.language import JambaForCausalLM, LanguageLoss
from jamba_rl.models.layers import LayerTable, layer_table
from jamba_rl.models.padding import check_mask
from jamba_rl.nn import JambaConfig, State

LayerState = dict[str, Any]


class JambaModel(nn.Module):
    """Attention and Mamba by a pattern such as ``AMM``, experts in every ``moe_every_n``-th layer; tied embeddings.

    :param num_heads: of queries; ``num_kv_heads`` of keys and values
    :param num_experts: per layer, of which a token goes to ``top_k``
    :param mamba_expand: inner width of Mamba in units of ``d_model``; ``ffn_expand`` that of feed-forwards
    :param layer_pattern: of A and M, repeated to ``num_layers``; None for AMMM
    :param moe_every_n: 0 for no experts
    :param max_length: longer texts are refused; None for no limit
    :param fields: of ``JambaConfig``, which go before the above
    :raises ValueError: sizes do not fit each other, or a letter is unknown

    >>> model = JambaModel(64, 3, num_heads=4, num_kv_heads=2, vocab_size=11, layer_pattern="AM")
    >>> logits, info = model(torch.tensor([[3, 1, 4]]))
    >>> logits.shape, info["layer_pattern"]
    (torch.Size([1, 3, 11]), 'AMA')
    """

    def __init__(
        self,
        d_model: int,
        num_layers: int,
        num_heads: int = 32,
        num_kv_heads: int = 8,
        vocab_size: int = 32000,
        num_experts: int = 8,
        top_k: int = 2,
        mamba_d_state: int = 16,
        mamba_d_conv: int = 4,
        mamba_expand: float = 2,
        ffn_expand: float = 4,
        dropout: float = 0.0,
        layer_pattern: str | None = None,
        moe_every_n: int = 2,
        max_length: int | None = None,
        **fields: Any,
    ) -> None:
        super().__init__()
        pattern = "AMMM" if layer_pattern is None else layer_pattern
        if not isinstance(pattern, str) or not pattern or not set(pattern) <= {"A", "M"}:
            raise ValueError(f"layer_pattern must be made of A (attention) and M (Mamba), was {layer_pattern!r}")
        known = {
            "d_model": d_model,
            "num_layers": num_layers,
            "pattern": pattern,
            "num_heads": num_heads,
            "num_kv_heads": num_kv_heads,
            "num_experts": num_experts,
            "top_k": top_k,
            "d_state": mamba_d_state,
            "d_conv": mamba_d_conv,
            "expand": mamba_expand,
            "ffn_mult": ffn_expand,
            "dropout": dropout,
        }
        known |= {"ffn_pattern": "D"} if moe_every_n == 0 else {"moe_period": moe_every_n}
        config = JambaConfig.preset("nexus", **known | fields)
        self.lm = JambaForCausalLM(config, vocab_size, tie_embeddings=True, max_length=max_length)
        self._sizes = [len(block.initial_state(0)) for block in self.lm.backbone.blocks]  # type: ignore[operator]

    @property
    def config(self) -> JambaConfig:
        """The backbone's configuration."""
        return self.lm.config

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        layer_states: Sequence[LayerState | None] | None = None,
    ) -> tuple[Tensor, dict[str, Any]]:
        """Read texts, or go on with them.

        :param input_ids: (B, T)
        :param attention_mask: (B, T) bool, or 0 and 1: where a token is and where padding, which goes with no states;
            None for no padding
        :param layer_states: what an earlier call returned under this name; None, for all or for a layer, is empty
        :return: logits (B, T, V), and a dict of

            - ``layer_states``: per layer ``state`` of Mamba (convolution, SSM) and ``kv_cache`` of attention (keys,
              values, steps), either of which may be None
            - ``total_aux_loss``: X sum_e f_e P_e summed over layers, 1 for each that routes evenly: without a factor
            - ``router_decisions``: the experts that tokens went to, all layers' in a row, to count with ``bincount``
            - ``layer_pattern``
        :raises ValueError: arguments do not fit
        """
        check_ids(input_ids, 2, self.lm.vocab_size)
        state = None if layer_states is None else self._join(layer_states, len(input_ids))
        mask = _padding(input_ids, attention_mask)
        out = self.lm(input_ids, state, mask=mask)
        tokens = torch.ones_like(input_ids, dtype=torch.bool) if mask is None else mask
        chosen = [layer.experts[tokens.flatten()].flatten() for layer in out.routing.layers]
        none = torch.zeros(0, dtype=torch.long, device=out.logits.device)
        return out.logits, {
            "layer_states": self._split(out.state),
            "total_aux_loss": out.routing.balance_loss(mask) * len(chosen),
            "router_decisions": torch.cat(chosen) if chosen else none,
            "layer_pattern": self.config.pattern,
        }

    def loss(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> LanguageLoss:
        """Return what to train on: cross-entropy of every next token, and what the routers add.

        As in Nexus that is 0.01 ``total_aux_loss``, a sum over layers; ``JambaForCausalLM`` takes the mean. Another
        factor is the field ``balance_coef``.
        """
        check_ids(input_ids, 2, self.lm.vocab_size)
        loss = self.lm.loss(input_ids, mask=_padding(input_ids, attention_mask))
        routing = loss.routing * self.config.ffn_pattern.count("E")
        return LanguageLoss(loss.cross_entropy + routing, loss.cross_entropy, routing)

    def generate(self, input_ids: Tensor, max_new_tokens: int, **options: Any) -> Tensor:
        """Write on from prompts; as ``JambaForCausalLM.generate``."""
        return self.lm.generate(input_ids, max_new_tokens, **options)

    def get_layer_info(self, context: int = 2048) -> LayerTable:
        """Return what every layer is, costs and remembers; ``print`` it."""
        return layer_table(self, context)

    def _split(self, state: State) -> list[LayerState]:
        parts = list(state[1:] if self.lm.backbone.position is not None else state)
        age = state[:1] if self.lm.backbone.position is not None else ()
        layers: list[LayerState] = []
        for letter, size in zip(self.config.pattern, self._sizes, strict=True):
            own, parts = tuple(parts[:size]), parts[size:]
            layers.append({"state": None, "kv_cache": own} if letter == "A" else {"state": own, "kv_cache": None})
        if age:
            layers[0]["age"] = age[0]  # of learned positions, which belong to the input of the first layer
        return layers

    def _join(self, layers: Sequence[LayerState | None], batch: int) -> State:
        if not isinstance(layers, Sequence) or len(layers) != len(self._sizes):
            given = f"has {len(layers)}" if isinstance(layers, Sequence) else f"was {type(layers).__name__}"
            raise ValueError(f"layer_states must have {len(self._sizes)} entries, one per layer; {given}")
        state: State = ()
        if self.lm.backbone.position is not None:
            age = layers[0].get("age") if isinstance(layers[0], Mapping) else None
            state = self.lm.backbone.position.initial_state(batch) if age is None else (age,)
        for i, layer in enumerate(layers):
            part = self._part(i, {} if layer is None else layer)
            state += self.lm.backbone.blocks[i].initial_state(batch) if part is None else part  # type: ignore[operator]
        return state

    def _part(self, i: int, layer: object) -> State | None:
        """Memory of the i-th layer; None where it has none yet."""
        letter, size = self.config.pattern[i], self._sizes[i]
        own, other = ("kv_cache", "state") if letter == "A" else ("state", "kv_cache")
        if not isinstance(layer, Mapping):
            raise ValueError(f"layer_states[{i}] must be a dict of an earlier call or None, was {type(layer).__name__}")
        if layer.get(other) is not None:
            raise ValueError(f"layer_states[{i}] has a {other}, but layer {i} is {letter} and keeps a {own}")
        part = layer.get(own)
        if part is not None and (not isinstance(part, tuple | list) or len(part) != size):
            raise ValueError(f"{own} of layer_states[{i}] must be {size} tensors of an earlier call; was {part!r:.80}")
        return None if part is None else tuple(part)


def _padding(ids: Tensor, mask: Tensor | None) -> Tensor | None:
    """Return the mask as bool; None where nothing is padding."""
    if mask is None:
        return None
    if not isinstance(mask, Tensor) or mask.is_complex() or not bool(((mask == 0) | (mask == 1)).all()):
        raise ValueError("attention_mask must be a tensor of bool, or 0 and 1: where tokens are, not added to scores")
    check_mask(ids, mask.bool())
    return None if bool(mask.all()) else mask.bool()
