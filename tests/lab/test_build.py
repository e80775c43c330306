from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from jamba_rl.catalogue import UserError
from jamba_rl.lab.build import make_model
from jamba_rl.lab.config import configure
from jamba_rl.lab.train import train
from jamba_rl.tasks import make_env
from tests.conftest import tiny_config


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
