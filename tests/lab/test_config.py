from __future__ import annotations

import pytest

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.agent import PPOAgent
from jamba_rl.lab.config import RunConfig, change, check_device, configure, split_settings
from jamba_rl.tasks import load_task


def test_what_is_not_given_comes_from_the_task() -> None:
    config, protocol = configure("pendulum-p"), load_task("pendulum-p").protocol
    assert config.task.protocol == protocol
    given = {"steps": None, "evaluation": {"every": 7, "episodes": None}, "ppo": {"n_envs": 3}}
    ours = configure("pendulum-p", protocol=given, settings=["gamma=0.5"]).task.protocol
    assert (ours.steps, ours.evaluation.every, ours.evaluation.episodes) == (
        protocol.steps,
        7,
        protocol.evaluation.episodes,
    )
    assert (ours.ppo.n_envs, ours.ppo.gamma, ours.ppo.n_steps) == (3, 0.5, protocol.ppo.n_steps)


def test_a_resolved_config_is_read_back_as_it_was() -> None:
    config = configure("halfcheetah-p", "ppo-lstm", seed=3, settings=["learning_rate=1e-5"])
    assert catalogue.check(RunConfig, config.model_dump(mode="json"), "") == config


def test_settings_are_yaml_values_at_dotted_keys() -> None:
    agent, ppo = split_settings(["network.window=8", "network.pattern=MMA", "target_kl=null", "n_steps=4"], PPOAgent)
    assert agent == {"network": {"window": 8, "pattern": "MMA"}, "target_kl": None}
    assert ppo == {"n_steps": 4}


def test_settings_and_envs_go_where_the_agent_looks_for_them() -> None:
    settings = ["gamma=0.5", "tau=0.1", "learning_starts=7"]
    config = configure("pendulum-p", "sac-jamba-window", n_envs=3, settings=settings)
    plain = load_task("pendulum-p", "sac").protocol
    assert (config.part.n_envs, config.part.gamma, config.part.learning_starts) == (3, 0.5, 7)
    assert config.part == config.task.protocol.sac
    assert config.agent.tau == 0.1
    assert config.task.protocol.ppo == plain.ppo
    assert config.steps == plain.steps == 30_000
    ppo = configure("pendulum-p", n_envs=3)
    assert ppo.part == ppo.task.protocol.ppo
    assert (ppo.part.n_envs, ppo.task.protocol.sac, ppo.steps) == (3, plain.sac, 100_000)


def test_the_command_line_goes_over_a_parts_own_steps() -> None:
    config = configure("pendulum-p", "sac-jamba-window", protocol={"steps": 5, "evaluation": {"every": 2}})
    assert (config.steps, config.task.protocol.evaluation.every) == (5, 2)
    assert change(config, steps=9).steps == 9


@pytest.mark.parametrize(
    ("agent", "setting", "said"),
    [
        ("sac-jamba-window", "n_steps=4", "unknown key 'n_steps'"),
        ("sac-jamba-window", "lerning_starts=4", "did you mean 'learning_starts'"),
        ("sac-jamba-window", "train_freq=0", "sac.train_freq: must be greater than 0, was 0"),
        ("sac-jamba-window", "history=none", 'history: must be a valid integer, was "none"'),
        ("sac-jamba-window", "ent_coef=atuo", "ent_coef: must be a number, 0 or above, or auto, was 'atuo'"),
        ("sac-jamba-window", "ent_coef=-1", "ent_coef: must be a number, 0 or above, or auto, was -1"),
        ("sac-jamba-window", "ent_coef=true", "ent_coef: must be a number, 0 or above, or auto, was True"),
        ("sac-jamba-window", "frames=4", "unknown key 'frames'"),
        ("sac-jamba-window", "algorithm=ppo", "unknown key 'algorithm'"),
        ("ppo-jamba-window", "warm_up=0.1", "unknown key 'warm_up'"),
        ("ppo-jamba", "history=4", "unknown key 'history'"),
        ("ppo-jamba", "train_freq=4", "unknown key 'train_freq'"),
        ("ppo-jamba", "warm_up=1.5", "warm_up: must be less than or equal to 1, was 1.5"),
        ("ppo-jamba", "encoder_learning_rate_ratio=0", "encoder_learning_rate_ratio: must be greater than 0"),
        ("ppo-jamba", "frames=-1", "frames: must be greater than 0, was -1"),
    ],
)
def test_each_agent_has_keys_of_its_own(agent: str, setting: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        configure("pendulum-p", agent, settings=[setting])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("network.patern=M", "unknown key 'network.patern'; did you mean 'network.pattern'"),
        ("lerning_rate=1", "unknown key 'lerning_rate'; did you mean 'learning_rate'"),
        ("gama=0.9", "unknown key 'gama'; did you mean 'gamma'"),
        ("gamma=nine", "gamma: must be a valid number"),
        ("n_steps=0", "n_steps: must be greater than 0"),
        ("gamma.x=1", "gamma: must be a valid number"),
        ("name=mine", "unknown key 'name'"),
        ("batch_size=four", "batch_size: must be a valid integer"),
        ("network.pattern=MX", "letter 'X' is unknown"),
        ("batch_size", "KEY=VALUE"),
        ("=4", "KEY=VALUE"),
        ("batch_size=", "KEY=VALUE"),
        ("batch_size=[", "no YAML value"),
    ],
)
def test_a_wrong_setting_is_one_line(setting: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        configure("pendulum-p", settings=[setting])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_change_changes_what_is_given_alone() -> None:
    config = configure("pendulum-p")
    assert change(config) == config
    longer = change(config, steps=999_999)
    assert longer.steps == 999_999
    assert change(longer, steps=config.steps) == config


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "meta", "cpu:x"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="device"):
        check_device(name)


def test_the_processor_is_always_there() -> None:
    check_device("cpu")
    check_device("auto")
