"""Keys that nothing reads: they are known by the letters of a network's patterns."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch

from jamba_rl.lab.report.unused import FEEDFORWARDS, MIXERS, unused
from jamba_rl.nn import Jamba, JambaConfig

KEYS = {key for layers in (MIXERS, FEEDFORWARDS) for keys in layers.values() for key in keys.split()}
OTHER = {
    "d_state": 3, "d_conv": 2, "expand": 1.0, "dt_rank": 2, "dt_min": 0.1, "dt_max": 2.0, "decay_min": 0.1,
    "rotations": 1,
    "mamba_norms": False, "conv_bias": False, "mamba_bias": True, "num_heads": 2, "num_kv_heads": 1, "window": 5,
    "lag_scale": 2.0, "rope_base": 5.0, "attention_bias": True, "d_hidden": 9, "ffn_act": "gelu", "num_experts": 3,
    "top_k": 1, "expert_act": "gelu", "router_weights": "raw", "balance": "none", "balance_coef": 0.5, "z_loss": "none",
    "z_coef": 0.5, "router_jitter": 0.5, "ffn_mult": 1.0, "ffn_bias": True,
}  # fmt: skip
NETWORKS = [("M", "-"), ("A", "-"), ("S", "-"), ("L", "D"), ("N", "D"), ("N", "E")]


def said_by(fields: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    model = Jamba(JambaConfig(**fields))
    out = model(torch.randn(2, 6, 16))
    return out.hidden, out.routing.loss()


def test_every_key_is_one_of_a_network() -> None:
    assert OTHER.keys() == KEYS
    assert {field.name for field in fields(JambaConfig)} >= KEYS


@pytest.mark.parametrize(("pattern", "ffn_pattern"), NETWORKS)
def test_a_network_is_the_same_whatever_its_unused_keys_say(pattern: str, ffn_pattern: str) -> None:
    plain = {"d_model": 16, "pattern": pattern, "ffn_pattern": ffn_pattern}
    left = {key.rpartition(".")[2] for key in unused({"agent": {"algorithm": "ppo", "network": plain}})} & KEYS
    torch.testing.assert_close(said_by(plain | {key: OTHER[key] for key in left}), said_by(plain), rtol=0, atol=0)
    used = {key: OTHER[key] for key in KEYS - left - {"dt_min"}}
    assert not used or not torch.equal(said_by(plain | used)[0], said_by(plain)[0])
