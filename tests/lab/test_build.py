from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO, SAC

from jamba_rl.catalogue import UserError
from jamba_rl.lab.build import make_model
from jamba_rl.lab.config import configure
from jamba_rl.lab.train import train
from jamba_rl.rl import HistoryReplayBuffer, RecurrentSAC
from jamba_rl.tasks import make_env
from tests.conftest import tiny_config
from tests.lab.small import small_config


class Odd(gymnasium.Env):
    """An env that PPO cannot act in."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, action_space: spaces.Space) -> None:
        self.action_space = action_space


def test_hyperparameters_of_agent_and_protocol_reach_the_algorithm() -> None:
    settings = [
        "clip_range=0.3",
        "ent_coef=0.01",
        "vf_coef=0.7",
        "max_grad_norm=0.9",
        "target_kl=0.05",
        "learning_rate=1e-3",
        "learning_rate_schedule=constant",
    ]
    settings += ["gamma=0.8", "gae_lambda=0.7", "sequence_length=16", "policy.activation=relu", "network.window=5"]
    config = tiny_config(settings=settings, seed=5)
    model = make_model(config, make_env("pendulum-p", 2))
    assert (model.n_steps, model.batch_size, model.n_epochs, model.seed) == (32, 32, 1, 5)
    assert (model.gamma, model.gae_lambda, model.ent_coef, model.vf_coef) == (0.8, 0.7, 0.01, 0.7)
    assert (model.max_grad_norm, model.target_kl, model.learning_rate, model.clip_range(1.0)) == (0.9, 0.05, 1e-3, 0.3)
    assert model.policy.activation_fn is torch.nn.ReLU
    assert model.policy.network.window == 5
    assert model.rollout_buffer.sequence_length == 16
    normalizer = model.get_vec_normalize_env()
    assert normalizer is not None
    assert (normalizer.gamma, normalizer.norm_obs, normalizer.norm_reward) == (0.8, True, True)


def test_what_only_recurrent_ppo_has_reaches_it() -> None:
    settings = ["warm_up=0.25", "shared_encoder=false", "encoder_learning_rate_ratio=0.5", "previous_action=false"]
    model = make_model(tiny_config(settings=settings), make_env("pendulum-p", 2))
    assert model.warm_up == 0.25
    policy = model.policy
    assert (policy.shared_encoder, policy.encoder_learning_rate_ratio, policy.previous_action) == (False, 0.5, False)
    plain = make_model(tiny_config(), make_env("pendulum-p", 2))
    assert plain.warm_up == 0.0
    policy = plain.policy
    assert (policy.shared_encoder, policy.encoder_learning_rate_ratio, policy.previous_action) == (True, 1.0, True)


def test_hyperparameters_of_stock_ppo_reach_it() -> None:
    settings = ["clip_range=0.3", "gamma=0.8", "gae_lambda=0.7", "log_std_init=-1.5", "policy.activation=relu"]
    config = small_config("ppo-jamba-window", settings=[*settings, "learning_rate_schedule=constant"], seed=5)
    model = make_model(config, make_env("pendulum-p", 2))
    assert type(model) is PPO
    assert (model.n_steps, model.batch_size, model.n_epochs, model.seed) == (32, 32, 1, 5)
    assert (model.gamma, model.gae_lambda, model.clip_range(1.0), model.learning_rate) == (0.8, 0.7, 0.3, 5e-4)
    assert model.policy.log_std.tolist() == [-1.5]
    assert model.policy.activation_fn is torch.nn.ReLU
    assert model.policy.features_extractor.backbone.config.window == 4
    assert model.observation_space["history"].shape == (4, 2)
    assert model.get_vec_normalize_env().gamma == 0.8


def test_hyperparameters_of_stock_sac_reach_it() -> None:
    settings = ["gamma=0.8", "tau=0.1", "ent_coef=0.2", "buffer_size=500", "gradient_steps=3", "learning_rate=1e-4"]
    settings += ["share_features_extractor=false", "normalize.rewards=true", "batch_size=9"]
    model = make_model(small_config("sac-jamba-window", settings=settings, seed=5), make_env("pendulum-p", 1))
    assert type(model) is SAC
    assert (model.gamma, model.tau, model.ent_coef, model.learning_rate) == (0.8, 0.1, 0.2, 1e-4)
    assert (model.buffer_size, model.batch_size, model.seed, model.learning_starts) == (500, 9, 5, 20)
    assert (model.train_freq.frequency, model.gradient_steps) == (2, 3)
    assert isinstance(model.replay_buffer, HistoryReplayBuffer)
    assert not model.policy.share_features_extractor
    assert model.actor.features_extractor.backbone.config.window == 4
    assert model.get_vec_normalize_env().norm_reward
    assert make_model(small_config("sac-jamba-window"), make_env("pendulum-p", 1)).policy.share_features_extractor


def test_hyperparameters_of_sac_reach_it() -> None:
    settings = ["gamma=0.8", "tau=0.1", "ent_coef=0.2", "buffer_size=500", "gradient_steps=3", "learning_rate=1e-4"]
    settings += ["sequence_length=6", "burn_in=2", "stored_state=true", "n_steps=3", "batch_size=9", "frames=2"]
    settings += ["n_critics=3", "target_critics=2", "critic_layer_norm=true", "shared_encoder=true"]
    settings += ["encoder_learning_rate_ratio=0.5", "previous_action=false", "observation_change=false"]
    model = make_model(small_config("sac-jamba", settings=settings, seed=5), make_env("pendulum-p", 1))
    assert type(model) is RecurrentSAC
    assert (model.gamma, model.tau, model.ent_coef, model.learning_rate) == (0.8, 0.1, 0.2, 1e-4)
    assert (model.buffer_size, model.batch_size, model.seed, model.learning_starts) == (500, 9, 5, 20)
    assert (model.train_freq.frequency, model.gradient_steps) == (2, 3)
    replay = model.replay_buffer
    assert (replay.sequence_length, replay.burn_in, replay.stored_state, replay.n_steps) == (6, 2, True, 3)
    assert (replay.gamma, replay.context) == (0.8, 1)
    policy = model.policy
    assert (policy.frames, policy.shared_encoder, policy.encoder_learning_rate_ratio) == (2, True, 0.5)
    assert (policy.previous_action, policy.observation_change) == (False, False)
    assert (len(policy.critic.q_networks), policy.target_critics, policy.critic_layer_norm) == (3, 2, True)
    assert policy.network.window == 4


@pytest.mark.parametrize("agent", ["ppo-jamba-moe", "sac-jamba"])
def test_what_sees_images_is_the_agents_choice(agent: str, tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text("base: InvertedPendulum-v5\npixels: {height: 40, width: 36, grey: true}\n")
    for settings, expected in (([], "NatureCNN"), (["image_encoder=spatial"], "SpatialExtractor")):
        config = small_config(agent, env=str(path), settings=settings)
        model = make_model(config, make_env(config.task, config.part.n_envs))
        seen = model.critic if agent == "sac-jamba" else model.policy
        assert type(seen.features_extractor).__name__ == expected
    with pytest.raises(UserError, match="image_encoder: must be 'nature' or 'spatial'"):
        small_config(agent, settings=["image_encoder=spatal"])


def test_sac_acts_in_bounded_numbers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"env 'cartpole-p' has actions Discrete\(2\), which SAC cannot take"):
        train(configure("cartpole-p", "sac-jamba-window"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "space",
    [
        spaces.Tuple((spaces.Discrete(2), spaces.Discrete(2))),
        spaces.Box(-np.inf, np.inf, (2,), np.float32),
        spaces.Text(5),
    ],
    ids=str,
)
def test_actions_that_do_not_fit_show_before_anything_is_written(
    space: spaces.Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = gymnasium.envs.registration.EnvSpec("Odd-v0", Odd, kwargs={"action_space": space})
    monkeypatch.setitem(gymnasium.registry, "Odd-v0", spec)
    with pytest.raises(UserError, match="which PPO cannot take"):
        train(configure("Odd-v0"))
    assert list(tmp_path.iterdir()) == []
