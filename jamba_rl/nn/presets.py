"""Configurations with a name: our default for reinforcement learning, and the systems others published.

Each says what its source says, except where that could not work; a comment says so. A published system that attends to
the whole episode keeps ``window: None``, but for ``dhc-rl``: an agent's memory must not grow while it acts.
"""

from __future__ import annotations

from typing import Any

# How Gu & Dao 2023 start a Mamba layer. Ours starts slower, for an agent learns from few episodes.
_MAMBA = {"dt_min": 1e-3, "dt_max": 0.1, "decay_min": None, "mamba_norms": False, "rotations": 0}
_DHC = _MAMBA | {
    "position": "rope",
    "ffn_mult": 4.0,
    "branch_scale": 1.0,
    # The source has no loss that keeps logits small and works: its linear one is unbounded below (z_loss="linear").
    "balance": "uniform",
    "balance_coef": 0.001,
}

PRESETS: dict[str, dict[str, Any]] = {
    "rl": {},
    # Its smallest language model, of 130 million parameters.
    "mamba": _MAMBA | {"d_model": 768, "pattern": "M", "num_layers": 24, "norm_eps": 1e-5, "branch_scale": 1.0},
    # DHC-Jamba-Enhanced, ARCHITECTURE.md: the last of every r + 1 blocks attends.
    "dhc-rl": _DHC | {"d_model": 128, "pattern": "MMMA", "num_layers": 4, "ffn_pattern": "D", "window": 64},
    # The same document's width; the code of its vision model makes it four times that.
    "dhc-vision": _DHC
    | {
        "d_model": 64,
        "pattern": "MMMMMMMA",
        "ffn_pattern": "DE",
        "num_layers": 8,
        "num_heads": 8,
        "window": None,
        "dropout": 0.1,
    },
    # JAMBA of Nakshatra: 8 times 8 blocks, biases, the chosen experts weighed by their logits. Its x_proj, router and
    # lm_head have biases too, 61,521 of 10 billion numbers, which nothing here has.
    "nakshatra": _MAMBA
    | {
        "d_model": 1184,
        "pattern": "MMMMAMMM",
        "ffn_pattern": "DE",
        "num_layers": 64,
        "d_state": 64,
        "expand": 4048 / 1184,
        "dt_rank": 64,
        "mamba_bias": True,
        "num_heads": 8,
        "window": None,
        "position": "learned",
        "max_positions": 16192,
        "attention_bias": True,
        "ffn_mult": 4.0,
        "ffn_bias": True,
        "num_experts": 16,
        "router_weights": "raw",
        "balance": "none",
        "z_loss": "none",
        "dropout": 0.1,
        "branch_scale": 1.0,
    },
    # The Nexus curriculum, jamba.md: attention first, experts that are plain SiLU networks.
    "nexus": _MAMBA
    | {
        "d_model": 4096,
        "pattern": "AMMM",
        "ffn_pattern": "DE",
        "num_layers": 32,
        "num_heads": 32,
        "num_kv_heads": 8,
        "window": None,
        "position": "rope",
        "ffn_mult": 4.0,
        "expert_act": "silu",
        "z_loss": "none",
        "branch_scale": 1.0,
    },
    # ai21labs/Jamba-v0.1 (Lieber et al. 2024, arXiv 2403.19887). Its own initial time steps are zero biases, a memory
    # of one or two steps; ours are Mamba's.
    "ai21-jamba": _MAMBA
    | {
        "d_model": 4096,
        "pattern": "MMMMAMMM",
        "ffn_pattern": "DE",
        "num_layers": 32,
        "mamba_norms": True,
        "num_heads": 32,
        "num_kv_heads": 8,
        "window": None,
        "position": "none",
        "ffn_mult": 3.5,
        "num_experts": 16,
        "router_weights": "softmax",
        "balance": "pooled",
        "balance_coef": 0.001,
        "z_loss": "none",
        "branch_scale": 1.0,
        "init_std": 0.02,
    },
}
