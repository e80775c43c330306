"""A run's hyperparameters and final score, as TensorBoard's HParams tab shows them.

Each run says what it is trained with and, at its end, how good it became. What columns there are, TensorBoard finds out
from all runs together, so agents of several algorithms stand in one table, and what differs between them comes first.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.plugins.hparams.summary_v2 import hparams_pb

from jamba_rl.lab.config import RunConfig

SCORE = "final/score"  # the mean of the last tenth of evaluations, as in reports


def hyperparameters(config: RunConfig) -> dict[str, Any]:
    """All that a run is trained with but for its seed, by dotted names: the agent's own keys, ``env``, ``protocol.*``.

    >>> from jamba_rl.lab.config import configure
    >>> found = hyperparameters(configure("pendulum-p", "ppo-lstm"))
    >>> found["agent"], found["env"], found["network.pattern"], found["policy.net_arch"], found["protocol.gamma"]
    ('ppo-lstm', 'pendulum-p', 'L', '[64, 64]', 0.95)
    """
    agent = config.agent.model_dump(mode="json", exclude={"name", "description"})
    protocol = config.part.model_dump(mode="json") | {"steps": config.steps}
    return {"agent": config.agent.name, "env": config.task.name} | flat(agent) | flat(protocol, "protocol.")


def flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys; lists as text.

    >>> flat({"a": {"b": 1, "c": [2, 3]}, "d": None})
    {'a.b': 1, 'a.c': '[2, 3]', 'd': None}
    """
    found: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = json.dumps(value) if isinstance(value, list) else value
    return found


def start_summary(config: RunConfig) -> Summary:
    """What a run begins with; runs that differ in their seed alone are one group."""
    values = {key: "none" if value is None else value for key, value in hyperparameters(config).items()}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:6]
    return hparams_pb(values, trial_id=f"{config.task.name} {config.agent.name} {digest}")


def end_summary() -> Summary:
    """What a run ends with, beside its score, which is a scalar."""
    end = SessionEndInfo(status=Status.Value("STATUS_SUCCESS"), end_time_secs=time.time())
    about = metadata.create_summary_metadata(HParamsPluginData(session_end_info=end))
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=about, tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])
