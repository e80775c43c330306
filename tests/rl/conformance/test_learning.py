"""One seed gives one result, and what can be learned is."""

import numpy as np
import pytest
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import IdentityEnv, IdentityEnvBox, IdentityEnvMultiBinary, IdentityEnvMultiDiscrete
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from tests.rl.clock import OURS
from tests.rl.conformance.tiny import act, tiny


@pytest.mark.parametrize("policy", OURS)
@pytest.mark.parametrize("env_id", ["Pendulum-v1", "CartPole-v1"])
def test_one_seed_gives_one_result(policy, env_id):
    results = []
    for _ in range(2):
        venv = make_vec_env(env_id, n_envs=2, seed=0)
        model = tiny(policy, venv, n_epochs=2).learn(192)
        returns = [episode["r"] for episode in model.ep_info_buffer]
        results.append((model.policy.state_dict(), act(model, venv.reset()), returns))
    (weights, actions, returns), (weights2, actions2, returns2) = results
    assert all(torch.equal(value, weights2[name]) for name, value in weights.items())
    assert np.array_equal(actions, actions2)
    assert returns == returns2


def test_another_seed_gives_another_result():
    one, two = (tiny("JambaPolicy", "Pendulum-v1", seed=seed).policy.encoder.embed.weight for seed in (0, 1))
    assert not torch.equal(one, two)


@pytest.mark.parametrize("policy", OURS)
def test_identity_is_learned(policy):
    """To name what is seen: 100 per episode is perfect, 50 chance."""
    venv = make_vec_env(lambda **_: IdentityEnv(2), n_envs=8, seed=0)
    model = tiny(policy, venv, n_steps=16, batch_size=64, n_epochs=4, learning_rate=5e-3, gamma=0.4)
    model.learn(1300)
    evaluate_policy(model, venv, n_eval_episodes=8, reward_threshold=90, warn=False)


@pytest.mark.parametrize(
    ("env", "bar"), [(IdentityEnvMultiDiscrete, 80), (IdentityEnvMultiBinary, 80), (IdentityEnvBox, 90)]
)
def test_identity_is_learned_with_every_kind_of_action(env, bar):
    make = (lambda: env(eps=0.5)) if env is IdentityEnvBox else (lambda: env(2))
    venv = DummyVecEnv([make] * 8)
    model = tiny("JambaPolicy", venv, n_steps=16, batch_size=64, n_epochs=4, learning_rate=5e-3, gamma=0.4)
    model.learn(2000)
    evaluate_policy(model, venv, n_eval_episodes=8, reward_threshold=bar, warn=False)
