"""What older configs do not say, or say elsewhere: keys that were added or moved since, as plain data.

A key that is added to agents, tasks or networks belongs here too, with what runs before it had: else they are not the
same as those after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jamba_rl.catalogue import merge

WAS_ONCE: Mapping[str, Any] = {
    "start": None,
    "stop": None,
    "task": {
        "keep": None,
        "noise": 0.0,
        "dropout": {"frames": 0.0, "sensors": 0.0},
        "freeze": None,
        "delay": 0,
        "cue": None,
        "episode_steps": None,
        "dynamics": None,
        "pixels": None,
        "hide_action": False,
        "protocol": {
            "stepping": "in-process",
            "ppo": {"sequence_length": 32, "n_epochs": 10, "ent_coef": 0.0, "vf_coef": 0.5, "advantage_floor": 0.0},
        },
    },
    "agent": {
        "warm_up": 0.0,
        "shared_encoder": True,
        "encoder_learning_rate_ratio": 1.0,
        "previous_action": None,
        "observation_change": None,
        "observation_sum": False,
        "frames": 1,
        "image_encoder": None,
        "windows_in_a_row": 1,
        "network": {"decay_min": None, "lag_scale": 1.0, "rotations": 0},
    },
}
MOVED = ("sequence_length", "n_epochs", "ent_coef", "vf_coef")  # from agents of PPO to the protocol


def grown_up(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A config as it would be written today.

    >>> grown_up({"agent": {"algorithm": "ppo", "n_epochs": 4}})["task"]["protocol"]["ppo"]["n_epochs"]
    4
    """
    agent = config["agent"]
    if agent["algorithm"] not in ("ppo", "sb3-ppo"):
        return merge(WAS_ONCE, config)
    moved = {key: agent[key] for key in MOVED if key in agent}
    rest = {key: value for key, value in agent.items() if key not in moved}
    older = merge(WAS_ONCE, {"task": {"protocol": {"ppo": moved}}})
    return merge(older, {**config, "agent": rest})
