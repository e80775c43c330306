"""What a config says and nothing reads: two runs that differ in no more are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jamba_rl.lab.report.schema import PARTS

# of networks: for whom a key is, in letters of its patterns; the others are for all
MIXERS = {
    "M": "d_state d_conv expand dt_rank dt_min dt_max decay_min rotations mamba_norms conv_bias mamba_bias",
    "A": "num_heads num_kv_heads window lag_scale rope_base attention_bias",
    "SLGP": "d_hidden",
}
FEEDFORWARDS = {
    "D": "ffn_act",
    "E": "num_experts top_k expert_act router_weights balance balance_coef z_loss z_coef router_jitter",
    "DE": "ffn_mult ffn_bias",
}


def unused(config: Mapping[str, Any]) -> set[str]:
    """Keys, as paths, of the other kind of agent's protocol and of layers that the network does not have.

    >>> agent = {"algorithm": "sac", "network": {"pattern": "L", "ffn_pattern": "-"}}
    >>> sorted(unused({"agent": agent}))[:3]
    ['agent.network.attention_bias', 'agent.network.balance', 'agent.network.balance_coef']
    """
    agent = config["agent"]
    found = {f"task.protocol.{part}" for part in PARTS if part not in agent["algorithm"]}
    network = agent.get("network") or {}
    for pattern, layers in (("pattern", MIXERS), ("ffn_pattern", FEEDFORWARDS)):
        has = network.get(pattern)
        if isinstance(has, str):
            keys = [key for letters, keys in layers.items() if not set(letters) & set(has) for key in keys.split()]
            found |= {f"agent.network.{key}" for key in keys}
    return found
