"""SB3's own algorithms with our memory: by the name JambaPolicy, and by the extractor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.wrappers import TimeLimit
from sb3_contrib import TQC
from stable_baselines3 import DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from jamba_rl.rl import (
    HistoryReplayBuffer,
    HistoryWrapper,
    JambaFeaturesExtractor,
    RecurrentPPO,
    VecHistory,
    VecHistoryNormalize,
    WindowActorCriticPolicy,
    WindowSACPolicy,
)
from tests.rl.window.test_features import EXTRACTOR, NETWORK

TINY = {"network": NETWORK, "net_arch": [8]}


def pendulums(n_envs: int = 1, length: int = 6, limit: int = 20, name: str = "Pendulum-v1") -> VecEnv:
    venv = VecHistory(DummyVecEnv([lambda: TimeLimit(gym.make(name), limit) for _ in range(n_envs)]), length)
    venv.seed(0)
    return venv


carts = partial(pendulums, name="CartPole-v1")

ON_POLICY = {"n_steps": 32, "batch_size": 32, "n_epochs": 2}
OFF_POLICY = {"learning_starts": 20, "batch_size": 16, "buffer_size": 60, "replay_buffer_class": HistoryReplayBuffer}
STOCK: dict[str, tuple[type[BaseAlgorithm], str, Callable[..., VecEnv], dict]] = {
    "ppo": (PPO, "JambaPolicy", pendulums, ON_POLICY),
    "sac": (SAC, "JambaPolicy", pendulums, OFF_POLICY),
    "ppo-extractor": (PPO, "MultiInputPolicy", carts, ON_POLICY),
    "sac-extractor": (SAC, "MultiInputPolicy", pendulums, OFF_POLICY),
    "td3": (TD3, "MultiInputPolicy", pendulums, OFF_POLICY),
    "tqc": (TQC, "MultiInputPolicy", pendulums, OFF_POLICY),
    "dqn": (DQN, "MultiInputPolicy", carts, OFF_POLICY),
}


def make(name: str, venv: VecEnv | gym.Env | None = None, **kwargs) -> BaseAlgorithm:
    algorithm, policy, envs, options = STOCK[name]
    # a copy, since SB3 writes into what it is given
    policy_kwargs = dict(TINY if policy == "JambaPolicy" else EXTRACTOR)
    options = {"policy_kwargs": policy_kwargs, "seed": 0, "device": "cpu"} | options
    return algorithm(policy, envs() if venv is None else venv, **options | kwargs)


@pytest.mark.parametrize(
    ("name", "normalize"), [*((name, False) for name in STOCK), ("ppo", True), ("sac", True), ("dqn", True)]
)
def test_every_algorithm_trains_predicts_and_is_saved(name: str, normalize: bool, tmp_path: Path) -> None:
    """More steps than the replay buffer holds, several envs, many ends of episodes."""
    envs = STOCK[name][2](2)
    model = make(name, VecHistoryNormalize(envs) if normalize else envs)
    before = {key: value.clone() for key, value in model.policy.state_dict().items()}
    model.learn(100)
    after = model.policy.state_dict()
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert any("backbone" in key for key in changed)
    assert all(torch.isfinite(value).all() for value in after.values())

    venv = model.get_env()
    observation = venv.reset()
    actions, _ = model.predict(observation, deterministic=True)
    np.testing.assert_array_equal(actions, model.predict(observation, deterministic=True)[0])
    one = {key: part[1] for key, part in observation.items()}
    np.testing.assert_allclose(model.predict(one, deterministic=True)[0], actions[1], atol=1e-5)

    model.save(tmp_path / "model.zip")
    loaded = type(model).load(tmp_path / "model.zip", env=venv, device="cpu")
    np.testing.assert_array_equal(loaded.predict(observation, deterministic=True)[0], actions)
    loaded.learn(32, reset_num_timesteps=False)
    assert loaded.num_timesteps > model.num_timesteps
    assert np.isfinite(evaluate_policy(model, venv, 1, warn=False)[0])


def test_a_gymnasium_env_will_do(tmp_path: Path) -> None:
    """And SB3's callback keeps the normalisation of the test env in step."""
    env = HistoryWrapper(TimeLimit(gym.make("Pendulum-v1"), 20), 6)
    train = VecHistoryNormalize(DummyVecEnv([lambda: env]))
    test = VecHistoryNormalize(DummyVecEnv([lambda: HistoryWrapper(gym.make("Pendulum-v1"), 6)]), training=False)
    callback = EvalCallback(
        test, eval_freq=32, n_eval_episodes=1, best_model_save_path=str(tmp_path), warn=False, verbose=0
    )
    make("ppo", train).learn(64, callback)
    assert (test.obs_rms["history"].mean == train.obs_rms["history"].mean).any()
    assert (tmp_path / "best_model.zip").exists()
    make("sac", env).learn(40)


def test_single_observations_may_be_normalised_first_on_policy_only() -> None:
    venv = VecNormalize(DummyVecEnv([lambda: TimeLimit(gym.make("Pendulum-v1"), 20)]))
    make("ppo", VecHistory(venv, 6)).learn(64)
    with pytest.raises(ValueError, match="VecHistoryNormalize around VecHistory"):
        make("sac", VecHistory(venv, 6)).learn(64)


def test_our_buffer_trains_as_sb3s_does() -> None:
    """The same seed gives the same weights, as long as the ring is not full: then ours keeps a little more."""
    kinds = (HistoryReplayBuffer, DictReplayBuffer)
    ours, naive = (
        make("sac", buffer_size=100, replay_buffer_class=kind).learn(50).policy.state_dict() for kind in kinds
    )
    for key, value in ours.items():
        torch.testing.assert_close(value, naive[key], rtol=1e-5, atol=1e-6)


def test_a_buffer_is_saved_and_training_continues(tmp_path: Path) -> None:
    model = make("sac", pendulums(2))
    model.learn(100)
    model.save(tmp_path / "model.zip")
    model.save_replay_buffer(tmp_path / "buffer.pkl")
    loaded = SAC.load(tmp_path / "model.zip", env=pendulums(2), device="cpu")
    assert loaded.replay_buffer.pos == 0
    loaded.load_replay_buffer(tmp_path / "buffer.pkl")
    assert isinstance(loaded.replay_buffer, HistoryReplayBuffer)
    for key, part in model.replay_buffer.observations.items():
        np.testing.assert_array_equal(part, loaded.replay_buffer.observations[key])
    loaded.learn(40, reset_num_timesteps=False)
    assert loaded.replay_buffer.ages[model.replay_buffer.pos].tolist() == [1, 1]  # the envs began anew


@pytest.mark.parametrize("kind", [WindowActorCriticPolicy, WindowSACPolicy])
@pytest.mark.parametrize("shared", [False, True])
def test_a_policy_alone_is_saved(kind, shared: bool, tmp_path: Path) -> None:
    name = "ppo" if kind is WindowActorCriticPolicy else "sac"
    model = make(name, policy_kwargs=TINY | {"share_features_extractor": shared})
    assert isinstance(model.policy, kind)
    model.policy.save(tmp_path / "policy.pt")
    loaded = kind.load(tmp_path / "policy.pt", device="cpu")
    assert loaded.share_features_extractor == shared
    observation = model.get_env().reset()
    expected = model.predict(observation, deterministic=True)[0]
    np.testing.assert_array_equal(loaded.predict(observation, deterministic=True)[0], expected)


def trunk_gradients(shared: bool) -> tuple[SAC, dict[str, list[set[str]]]]:
    """Train SAC a little; note at each step of an optimizer which parts have a gradient in its parameters."""
    model = make("sac", policy_kwargs=TINY | {"share_features_extractor": shared})
    model.learn(30)
    parts = {
        "actor trunk": model.actor.features_extractor,
        "actor head": model.actor.mu,
        "critic trunk": model.critic.features_extractor,
        "critic head": model.critic.qf0,
    }
    seen: dict[str, list[set[str]]] = {"actor": [], "critic": []}
    for owner in seen:
        optimizer = getattr(model, owner).optimizer
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}

        def note(*_, owner=owner, held=held) -> None:
            moved = {
                name
                for name, part in parts.items()
                if any(id(p) in held and p.grad is not None and p.grad.abs().max() > 0 for p in part.parameters())
            }
            seen[owner].append(moved)

        optimizer.register_step_pre_hook(note)
    model.train(3, 16)
    return model, seen


def test_actor_and_critic_each_train_a_memory_of_their_own() -> None:
    model, seen = trunk_gradients(shared=False)
    assert seen["critic"] == [{"critic trunk", "critic head"}] * 3
    assert seen["actor"] == [{"actor trunk", "actor head"}] * 3
    assert model.actor.features_extractor is not model.critic.features_extractor


def test_a_shared_memory_is_trained_by_the_critic_alone() -> None:
    model, seen = trunk_gradients(shared=True)
    assert model.actor.features_extractor is model.critic.features_extractor
    assert seen["critic"] == [{"actor trunk", "critic trunk", "critic head"}] * 3  # which are one
    assert seen["actor"] == [{"actor head"}] * 3


@pytest.mark.parametrize("shared", [False, True])
def test_every_parameter_is_in_one_optimizer(shared: bool) -> None:
    model = make("sac", policy_kwargs=TINY | {"share_features_extractor": shared})
    held = [
        id(p) for part in (model.actor, model.critic) for group in part.optimizer.param_groups for p in group["params"]
    ]
    assert len(held) == len(set(held))
    assert set(held) == {id(p) for part in (model.actor, model.critic) for p in part.parameters()}
    targets = {id(p) for p in model.critic_target.parameters()}
    assert not targets & set(held)


@pytest.mark.parametrize("shared", [False, True])
def test_all_of_the_memory_learns(shared: bool) -> None:
    model = make("sac", policy_kwargs=TINY | {"share_features_extractor": shared})
    before = {key: value.clone() for key, value in model.policy.state_dict().items()}
    model.learn(60)
    still = {key for key, value in model.policy.state_dict().items() if torch.equal(value, before[key])}
    assert not still


def test_the_gradient_through_actions_is_that_of_sb3s_critic() -> None:
    model = make("sac")
    observation = model.policy.obs_to_tensor(model.get_env().reset())[0]
    gradients = []
    for forward in (type(model.critic).forward, type(model.critic).__mro__[1].forward):
        action = torch.full((1, 1), 0.3, requires_grad=True)
        sum(forward(model.critic, observation, action)).sum().backward()
        gradients.append(action.grad)
    torch.testing.assert_close(*gradients)


def test_the_names_of_recurrent_ppo_stay_its_own() -> None:
    assert PPO.policy_aliases["JambaPolicy"] is WindowActorCriticPolicy
    assert SAC.policy_aliases["JambaPolicy"] is WindowSACPolicy
    assert RecurrentPPO.policy_aliases["JambaPolicy"] is not WindowActorCriticPolicy
    assert "JambaPolicy" not in TD3.policy_aliases
    assert (
        WindowActorCriticPolicy(
            pendulums().observation_space, pendulums().action_space, lambda _: 1e-3
        ).features_extractor_class
        is JambaFeaturesExtractor
    )


@pytest.mark.parametrize(
    "lines",
    [
        "import jamba_rl, sys; from importlib.util import find_spec; assert find_spec('stable_baselines3'); "
        "assert not {'torch', 'stable_baselines3'} & set(sys.modules); import sb3_contrib",
        "import stable_baselines3; import jamba_rl",
        "from jamba_rl.rl.window.features import JambaFeaturesExtractor",
    ],
)
def test_sb3_knows_the_name_in_whatever_order_things_are_imported(lines: str) -> None:
    code = f"{lines}; from stable_baselines3 import *; print([*PPO.policy_aliases][-1], [*SAC.policy_aliases][-1])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["JambaPolicy", "JambaPolicy"]
