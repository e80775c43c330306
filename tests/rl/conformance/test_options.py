"""Arguments of PPO and of its policies do what they do there."""

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.utils import LinearSchedule
from torch import nn

from jamba_rl.rl import JambaPolicy, RecurrentPPO
from tests.rl.clock import OURS, Clock
from tests.rl.conformance.tiny import tiny


def clocks():
    return make_vec_env(Clock, n_envs=2, seed=0)


class Layers(BaseFeaturesExtractor):
    """Two layers of one's own."""

    def __init__(self, observation_space, features_dim=6):
        super().__init__(observation_space, features_dim)
        self.net = nn.Sequential(nn.Linear(observation_space.shape[0], features_dim), nn.ReLU())

    def forward(self, observations):
        return self.net(observations)


@pytest.mark.parametrize("policy", ["JambaPolicy", "LstmPolicy", "MlpPolicy"])
@pytest.mark.parametrize(
    "kwargs",
    [
        {"net_arch": []},
        {"net_arch": [4]},
        {"net_arch": [4, 4], "activation_fn": nn.ReLU},
        {"net_arch": {"pi": [4], "vf": [8, 4]}},
        {"net_arch": {"pi": [4]}},
        {"net_arch": {"vf": [4]}},
        {"features_extractor_class": Layers, "features_extractor_kwargs": {"features_dim": 3}},
        {"features_extractor_class": Layers, "share_features_extractor": False, "shared_encoder": False},
        {"optimizer_class": torch.optim.AdamW, "optimizer_kwargs": {"weight_decay": 0.1, "eps": 1e-5}},
        {"optimizer_class": RMSpropTFLike, "optimizer_kwargs": {"eps": 1e-7}},
        {"optimizer_class": torch.optim.SGD, "encoder_learning_rate_ratio": 0.5},
        {"ortho_init": False, "log_std_init": -1.0},
    ],
)
def test_pieces_of_a_policy(policy, kwargs):
    tiny(policy, clocks(), kwargs).learn(64)


def test_an_extractor_of_ones_own_is_trained():
    model = tiny("JambaPolicy", clocks(), {"features_extractor_class": Layers})
    before = [p.clone() for p in model.policy.features_extractor.parameters()]
    model.learn(128)
    assert not any(map(torch.equal, before, model.policy.features_extractor.parameters()))


def test_a_policy_of_ones_own():
    """As SB3's tests check advantages: with values that are constant."""

    class Constant(JambaPolicy):
        value = 0.5

        def forward(self, *args, **kwargs):
            actions, values, log_prob, state = super().forward(*args, **kwargs)
            return actions, torch.full_like(values, self.value), log_prob, state

        def predict_values(self, *args, **kwargs):
            return torch.full_like(super().predict_values(*args, **kwargs), self.value)

    class Check(BaseCallback):
        def _on_step(self):
            return True

        def _on_rollout_end(self):
            buffer, value = self.model.rollout_buffer, self.model.policy.value
            last, expected = 0.0, np.zeros((buffer.buffer_size, 1))
            ends = np.roll(buffer.episode_starts, -1, axis=0)
            ends[-1] = self.model._last_episode_starts
            for t in reversed(range(buffer.buffer_size)):
                goes_on = 1.0 - ends[t]
                last = 1.0 + 0.9 * value * goes_on - value + 0.9 * 0.8 * goes_on * last
                expected[t] = last
            np.testing.assert_allclose(buffer.advantages, expected, rtol=1e-5)
            np.testing.assert_allclose(buffer.returns, expected + value, rtol=1e-5)

    env = make_vec_env(Clock, env_kwargs={"truncate": False})
    model = RecurrentPPO(Constant, env, n_steps=32, batch_size=32, gamma=0.9, gae_lambda=0.8, n_epochs=1, device="cpu")
    model.learn(96, callback=Check())


@pytest.mark.parametrize("policy", OURS)
@pytest.mark.parametrize("kwargs", [{}, {"squash_output": True}, {"full_std": False, "use_expln": True}])
def test_state_dependent_noise(policy, kwargs):
    model = tiny(policy, clocks(), {"log_std_init": -2.0, **kwargs}, use_sde=True, sde_sample_freq=4)
    before = model.policy.log_std.detach().clone()
    model.learn(128)
    assert not torch.equal(before, model.policy.log_std)
    assert bool(torch.isfinite(model.policy.log_std).all())
    actions, _ = model.predict(model.get_env().reset())
    assert (np.abs(actions) <= 2.0).all()


def test_squashed_output_needs_state_dependent_noise():
    with pytest.raises(AssertionError, match="squash_output=True is only available when using gSDE"):
        tiny("JambaPolicy", clocks(), {"squash_output": True})
    with pytest.raises(ValueError, match="only be used with continuous actions"):
        tiny("JambaPolicy", "CartPole-v1", use_sde=True)


@pytest.mark.parametrize("policy", ["JambaPolicy", "LstmPolicy", "MlpPolicy"])
@pytest.mark.parametrize(
    "kwargs",
    [
        {"clip_range_vf": 0.2},
        {"clip_range": LinearSchedule(0.2, 0.0, 1.0), "learning_rate": LinearSchedule(1e-3, 0.0, 1.0)},
        {"clip_range_vf": lambda remaining: 0.2 * remaining + 0.01, "ent_coef": 0.01},
        {"normalize_advantage": False, "vf_coef": 0.0},
        {"gae_lambda": 1.0, "gamma": 1.0, "max_grad_norm": 0.1},
        {"target_kl": 0.5, "n_epochs": 3},
    ],
)
def test_options_of_the_update(policy, kwargs):
    model = tiny(policy, clocks(), **kwargs).learn(128)
    assert all(bool(torch.isfinite(p).all()) for p in model.policy.parameters())


def test_a_clip_range_that_is_no_range_is_refused():
    with pytest.raises(AssertionError, match="must be positive"):
        tiny("JambaPolicy", clocks(), clip_range_vf=-0.2)


def test_an_update_stops_at_the_target_kl():
    model = tiny("JambaPolicy", clocks(), target_kl=1e-9, n_epochs=20, learning_rate=1e-2).learn(64)
    assert model._n_updates == 1


def test_a_schedule_is_followed():
    seen = []

    def schedule(remaining):
        seen.append(remaining)
        return 1e-3 * remaining

    model = tiny("JambaPolicy", clocks(), learning_rate=schedule).learn(128)
    assert {1.0, 0.5, 0.0} <= set(seen)
    assert model.policy.optimizer.param_groups[0]["lr"] == 0.0


def test_a_rollout_that_minibatches_do_not_fill_is_one_minibatch():
    model = tiny("JambaPolicy", "CartPole-v1", n_steps=16, batch_size=128)
    model.learn(32)
    assert [len(batch.actions) for batch in model.rollout_buffer.get(128)] == [16]


def test_learning_goes_on_where_it_stopped():
    model = tiny("JambaPolicy", clocks()).learn(64)
    observation, state = model._last_obs, model._last_state
    model.learn(64, reset_num_timesteps=False)
    assert model.num_timesteps == 128
    first = model.rollout_buffer
    assert np.array_equal(first.observations[0], observation)
    assert all(torch.equal(a, b) for a, b in zip((first.previous[0], *first.states[0]), state, strict=True))
    model.learn(64)
    assert model.num_timesteps == 64
    assert model.rollout_buffer.episode_starts[0].all()


def test_positional_arguments_are_ppos():
    model = RecurrentPPO("MlpPolicy", clocks(), 1e-3, 32, 16, 2, 0.9, 0.8, 0.1)
    found = (model.learning_rate, model.n_steps, model.batch_size, model.n_epochs, model.gamma, model.gae_lambda)
    assert found == (1e-3, 32, 16, 2, 0.9, 0.8)
    model.learn(64, None, 1, "name", True, False)
