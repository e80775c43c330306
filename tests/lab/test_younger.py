"""What older configs do not say is what they had."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from jamba_rl import catalogue
from jamba_rl.lab.agent.load import ALGORITHMS, defaults
from jamba_rl.lab.config import RunConfig, configure, read_config
from jamba_rl.lab.run import Run
from jamba_rl.lab.younger import MOVED, WAS_ONCE, grown_up
from jamba_rl.nn import JambaConfig
from jamba_rl.tasks import Task


def test_keys_are_those_of_configs() -> None:
    """A slip of the pen here would make every older run another one."""
    assert WAS_ONCE.keys() <= RunConfig.model_fields.keys()
    assert WAS_ONCE["task"].keys() <= Task.model_fields.keys()
    assert WAS_ONCE["agent"]["network"].keys() <= {field.name for field in dataclasses.fields(JambaConfig)}
    agents = set().union(*(kind.model_fields for kind in ALGORITHMS.values()))
    assert WAS_ONCE["agent"].keys() - {"windows_in_a_row"} <= agents


def test_what_a_key_was_before_it_is_its_default_still() -> None:
    """A new key changes nothing for those who do not name it; should a default change later, what was once stays."""
    config = configure("pendulum-p", "ppo-mlp").model_dump(mode="json")
    fresh = defaults("ppo")
    # who remembers sees it since
    assert (WAS_ONCE["agent"]["observation_sum"], fresh["observation_sum"]) == (False, None)
    for key, value in WAS_ONCE["agent"].items():
        if key not in ("network", "observation_sum") and key in fresh:
            assert fresh[key] == value, key
    assert WAS_ONCE["agent"]["network"] == {
        "decay_min": None,
        "lag_scale": 1.0,
        "rotations": 0,
    }  # 0.001, 16 and 4 since
    for key in WAS_ONCE["task"].keys() - {"protocol"}:
        assert config["task"][key] == WAS_ONCE["task"][key], key


def test_a_config_of_today_is_what_it_is() -> None:
    for agent in ("ppo-jamba", "sac-jamba"):
        config = configure("pendulum-p", agent).model_dump(mode="json")
        older = without(config, WAS_ONCE)
        grown = grown_up(older)
        assert catalogue.merge(grown, config) == catalogue.merge(WAS_ONCE, config)


@pytest.mark.parametrize("agent", ["ppo-jamba", "sac-jamba"])
def test_an_older_run_goes_on_with_what_it_had(agent: str, tmp_path: Path) -> None:
    config = configure("pendulum-p", agent).model_dump(mode="json")
    read = read_config(Run.create(tmp_path / "run", without(config, WAS_ONCE))).model_dump(mode="json")
    once = {key: value for key, value in WAS_ONCE["agent"].items() if key in config["agent"]}
    assert read["agent"] == catalogue.merge(config["agent"], once)


def without(config: dict[str, Any], keys: Any) -> dict[str, Any]:
    """A config as it was written before there were some keys."""
    return {
        key: without(value, keys[key]) if isinstance(value, dict) and isinstance(keys.get(key), dict) else value
        for key, value in config.items()
        if key not in keys or isinstance(keys[key], dict)
    }


def test_what_agents_of_sac_still_have_is_not_moved() -> None:
    config = configure("pendulum-p", "sac-jamba").model_dump(mode="json")
    grown = grown_up(config)
    assert {"sequence_length", "ent_coef"} <= set(MOVED) & grown["agent"].keys()
    assert grown["task"]["protocol"]["ppo"] == config["task"]["protocol"]["ppo"]
