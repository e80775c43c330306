"""PPO with the lean update against SB3's: the same weights and the same log from the same seed."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.policies import ActorCriticPolicy

from jamba_rl.rl.adam import Adam
from jamba_rl.rl.ppo.gaussian import DiagGaussian
from jamba_rl.rl.ppo.heads import Heads
from jamba_rl.rl.ppo.lean import LeanPPO
from tests.rl.clock import Clock


class LeanPolicy(ActorCriticPolicy):
    """SB3's policy with our parts in it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, optimizer_class=Adam, optimizer_kwargs={"eps": 1e-5})

    def _build(self, lr_schedule: Any) -> None:
        if isinstance(self.action_space, spaces.Box) and not self.use_sde:
            self.action_dist = DiagGaussian(self.action_dist.action_dim)
        super()._build(lr_schedule)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = Heads(self.features_dim, self.net_arch, self.activation_fn, self.device)


class Rows(KVWriter):
    """Every row of the log."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        self.rows.append({key: value for key, value in key_values.items() if key.startswith("train/")})


def learned(kind: type[PPO], policy: Any, env: Any, **kwargs: Any) -> tuple[PPO, list[dict[str, Any]]]:
    options = {"n_steps": 64, "batch_size": 32, "n_epochs": 3, "seed": 3, "device": "cpu"} | kwargs
    model, rows = kind(policy, env() if callable(env) else env, **options), Rows()
    model.set_logger(Logger(None, [rows]))
    model.learn(3 * 64)
    return model, rows.rows


def assert_same(env: Any, **kwargs: Any) -> list[dict[str, Any]]:
    """The same weights and log of stock SB3, of SB3's policy with the lean update, and with our parts too."""
    stock, rows = learned(PPO, "MlpPolicy", env, **kwargs)
    for policy in ("MlpPolicy", LeanPolicy):
        lean, lean_rows = learned(LeanPPO, policy, env, **kwargs)
        weights, expected = lean.policy.state_dict(), stock.policy.state_dict()
        torch.testing.assert_close(weights, expected, rtol=1e-5, atol=1e-5)
        assert [row.keys() for row in lean_rows] == [row.keys() for row in rows]
        for row, wanted in zip(lean_rows, rows, strict=True):
            assert row == pytest.approx(wanted, rel=2e-4, abs=2e-5)
        assert lean._n_updates == stock._n_updates
    return rows


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"clip_range_vf": 0.05},
        {"clip_range": lambda left: 0.05 * left, "clip_range_vf": lambda left: 0.1 + left},
        {"ent_coef": 0.02, "normalize_advantage": False},
        {"max_grad_norm": 1e-3},
        {"learning_rate": lambda left: 1e-3 * left, "vf_coef": 0.0},
        {"use_sde": True, "sde_sample_freq": 4},
    ],
    ids=["defaults", "clipped values", "schedules", "entropy", "tiny norm", "rates", "sde"],
)
def test_the_update_is_that_of_sb3(path, options):
    rows = assert_same("Pendulum-v1", **options)
    assert len(rows) == 3  # the log of an update is written before the next, and after the last
    assert "train/approx_kl" in rows[-1]


@pytest.mark.parametrize("target_kl", [1e-9, 1e-4, 3e-3])
def test_it_stops_where_sb3_stops(path, target_kl, capsys):
    options = {"target_kl": target_kl, "learning_rate": 1e-3, "verbose": 1, "n_epochs": 6}
    assert_same("Pendulum-v1", **options)
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Early")]
    assert len(printed) >= 3
    assert printed[: len(printed) // 3] * 3 == printed


def test_discrete_actions(path):
    assert_same("CartPole-v1", ent_coef=0.01)


@pytest.mark.parametrize("space", [spaces.MultiDiscrete([3, 2]), spaces.MultiBinary(3)], ids=["discrete", "binary"])
def test_several_actions_at_once(path, space):
    assert_same(lambda: Clock(action_space=space), ent_coef=0.01)


def test_squashed_actions_have_no_entropy_of_their_own(path):
    options = {"use_sde": True, "policy_kwargs": {"squash_output": True}, "ent_coef": 0.01}
    rows = assert_same("Pendulum-v1", **options)
    assert np.isfinite(rows[-1]["train/entropy_loss"])


def test_one_row_in_the_last_minibatch(path):
    with pytest.warns(UserWarning, match="truncated mini-batches"):
        assert_same("Pendulum-v1", batch_size=21)


def test_frozen_parameters_stay(path):
    model = LeanPPO(LeanPolicy, "Pendulum-v1", n_steps=32, batch_size=32, seed=0, device="cpu")
    model.policy.mlp_extractor.policy_net[0].requires_grad_(False)
    model.policy.log_std.requires_grad_(False)
    before = {name: value.clone() for name, value in model.policy.state_dict().items()}
    model.learn(64)
    same = {name for name, value in model.policy.state_dict().items() if torch.equal(value, before[name])}
    frozen = {"mlp_extractor.policy_net.0.weight", "mlp_extractor.policy_net.0.bias", "log_std"}
    assert same == frozen


def test_an_agent_that_diverges_says_so(path):
    model = LeanPPO(LeanPolicy, "Pendulum-v1", n_steps=32, batch_size=32, seed=0, device="cpu")
    with torch.no_grad():
        model.policy.value_net.weight.fill_(torch.nan)  # the norm of all gradients takes it everywhere
    with pytest.raises(ValueError, match="learning has diverged"):
        model.learn(64)


def test_a_saved_agent_learns_on_as_it_would_have(path, tmp_path):
    model, _ = learned(LeanPPO, LeanPolicy, "Pendulum-v1")
    model.save(tmp_path / "model")
    loaded = LeanPPO.load(tmp_path / "model", env=gym.make("Pendulum-v1"))
    assert type(loaded.policy.optimizer) is Adam
    for each in (model, loaded):
        each.set_env(gym.make("Pendulum-v1"))
        each.set_random_seed(5)
        each.learn(64)
    torch.testing.assert_close(loaded.policy.state_dict(), model.policy.state_dict(), rtol=0, atol=0)
