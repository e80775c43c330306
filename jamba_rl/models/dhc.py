"""A backbone in the words of DHC-Jamba-Enhanced."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from jamba_rl import nn


def backbone_config(
    d_model: int = 256,
    num_layers: int = 8,
    d_state: int = 16,
    d_conv: int = 4,
    num_heads: int = 8,
    num_kv_heads: int | None = None,
    mamba_ratio: int = 7,
    moe_frequency: int = 2,
    num_experts: int = 8,
    num_experts_per_token: int = 2,
    dropout: float = 0.1,
    use_rope: bool = True,
    use_swiglu: bool = True,
    use_gradient_checkpointing: bool = False,
    max_seq_len: int = 2048,
    *,
    preset: str = "dhc-vision",
    **fields: Any,
) -> nn.JambaConfig:
    """Return the configuration; names, order and defaults are those of the source's ``JambaConfig``.

    :param mamba_ratio: Mamba blocks to every one of attention, which is the last of them
    :param moe_frequency: every so manieth feed-forward is a mixture of experts; 0 for none
    :param num_experts_per_token: of ``num_experts``
    :param use_rope: else attention knows no positions
    :param use_swiglu: else GELU
    :param max_seq_len: vectors of learned positions, if the fields ask for those; RoPE has no end
    :param preset: what the rest is like
    :param fields: of our own ``JambaConfig``, which go before the above
    :raises ValueError: they do not fit each other

    >>> backbone_config(d_model=64, num_heads=4, num_layers=4, mamba_ratio=3, moe_frequency=0).pattern
    'MMMA'
    """
    act = "swiglu" if use_swiglu else "gelu"
    known: dict[str, Any] = {
        "d_model": d_model,
        "num_layers": num_layers,
        "d_state": d_state,
        "d_conv": d_conv,
        "num_heads": num_heads,
        "num_kv_heads": num_kv_heads,
        "num_experts": num_experts,
        "top_k": num_experts_per_token,
        "dropout": dropout,
        "position": "rope" if use_rope else "none",
        "ffn_act": act,
        "expert_act": act,
        "gradient_checkpointing": use_gradient_checkpointing,
        "max_positions": max_seq_len,
    }
    if not {"pattern", "attn_period"} & fields.keys():
        known["mamba_ratio"] = mamba_ratio
    if not {"ffn_pattern", "moe_period"} & fields.keys():
        known |= {"ffn_pattern": "D"} if moe_frequency == 0 else {"moe_period": moe_frequency}
    return nn.JambaConfig.preset(preset, **known | fields)


JambaConfig = backbone_config
"""Its name there."""
WORDS = frozenset(inspect.signature(backbone_config).parameters) - {"preset", "fields"}
"""Its arguments that are the source's."""


def refuse_width(fields: Mapping[str, Any], named: str) -> None:
    """Raise ValueError if fields set the width of a backbone inside of a network, which has a name of its own there."""
    if "d_model" in fields:
        raise ValueError(f"d_model is not to be given here: it follows from {named}")
