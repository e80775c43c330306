"""Agents that are as quick as can be, of every kind."""

from typing import Any

import numpy as np

from jamba_rl.rl import RecurrentPPO
from tests.rl.clock import OURS

NETWORKS: dict[str, dict[str, Any]] = {
    "JambaPolicy": {"pattern": "MA", "num_heads": 2, "window": 8},
    "MambaPolicy": {"pattern": "M"},
    "AttentionPolicy": {"pattern": "A", "num_heads": 2, "window": 8},
    "SSMPolicy": {"pattern": "S"},
    "LstmPolicy": {"pattern": "L"},
    "GruPolicy": {"pattern": "G"},
    "MlpPolicy": {"pattern": "N", "ffn_pattern": "D"},
}
assert list(NETWORKS) == OURS


def tiny_kwargs(policy: str, **policy_kwargs) -> dict[str, Any]:
    """Policy arguments of a small network; aliases get the one of the policy they stand for."""
    name = policy if policy in NETWORKS else "LstmPolicy" if "Lstm" in policy else "JambaPolicy"
    return {"network": NETWORKS[name] | {"d_model": 8}, "net_arch": [8]} | policy_kwargs


def tiny(policy, env, policy_kwargs=None, **kwargs) -> RecurrentPPO:
    """Make an agent that updates after 32 steps per env."""
    options = {"n_steps": 32, "batch_size": 32, "n_epochs": 1, "seed": 0, "device": "cpu"} | kwargs
    return RecurrentPPO(policy, env, policy_kwargs=tiny_kwargs(policy, **(policy_kwargs or {})), **options)


def act(model, observations, steps=3, **kwargs) -> np.ndarray:
    """Actions of a few steps with one and the same observation, the memory carried along."""
    state, actions = None, []
    for _ in range(steps):
        action, state = model.predict(observations, state, deterministic=True, **kwargs)
        actions.append(action)
    return np.stack(actions)
