"""predict: envs are wrapped, shapes follow from the observation, nothing is random that need not be."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.envs import IdentityEnv
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from tests.rl.clock import OURS
from tests.rl.conformance.tiny import act, tiny


@pytest.mark.parametrize("policy", OURS)
def test_an_env_or_its_id_is_wrapped(policy):
    for env in ("Pendulum-v1", gym.make("Pendulum-v1")):
        model = tiny(policy, env)
        assert isinstance(model.get_env(), VecEnv)
    model.learn(32)


@pytest.mark.parametrize("policy", OURS)
@pytest.mark.parametrize("env_id", ["Pendulum-v1", "CartPole-v1"])
@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_actions_have_the_shape_of_the_observations(policy, env_id, device):
    model = tiny(policy, env_id, device=device)
    env = gym.make(env_id)
    venv = DummyVecEnv([lambda: gym.make(env_id)] * 2)
    observation, _ = env.reset()
    state = many = None
    for _ in range(2):
        action, state = model.predict(observation, state)
        assert isinstance(action, np.ndarray)
        assert action.shape == env.action_space.shape
        assert env.action_space.contains(action)
        actions, many = model.predict(venv.reset(), many)
        assert actions.shape == (2, *env.action_space.shape)


@pytest.mark.parametrize("policy", OURS)
def test_one_observation_is_answered_as_in_a_batch(policy):
    model = tiny(policy, "Pendulum-v1")
    rows = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    together = act(model, rows)
    for i, row in enumerate(rows):
        np.testing.assert_allclose(act(model, row), together[:, i], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", OURS)
def test_deterministic_actions_are_the_same_every_time_and_others_are_not(policy):
    model = tiny(policy, "Pendulum-v1")
    observation = np.ones((4, 3), np.float32)
    assert np.array_equal(act(model, observation), act(model, observation))
    samples = [model.predict(observation)[0] for _ in range(2)]
    assert not np.array_equal(*samples)


def test_a_subclass_of_a_space_is_that_space():
    class Three(spaces.Discrete):
        def __init__(self):
            super().__init__(3)

    env = IdentityEnv(space=Three())
    model = tiny("JambaPolicy", env)
    model.learn(32)
    assert model.predict(env.reset()[0])[0].shape == ()


def test_an_image_is_turned_around_if_its_channels_are_last():
    space = spaces.Box(0, 255, (36, 40, 3), np.uint8)

    class Pictures(gym.Env):
        observation_space, action_space = space, spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return space.sample(), {}

        def step(self, action):
            return space.sample(), 0.0, False, False, {}

    model = tiny("CnnPolicy", Pictures(), policy_kwargs={"features_extractor_kwargs": {"features_dim": 8}})
    image = space.sample()
    first = model.predict(image, deterministic=True)[0]
    turned = np.transpose(image, (2, 0, 1))
    assert model.observation_space.shape == (3, 36, 40)
    assert first == model.predict(turned, deterministic=True)[0]


def test_the_old_form_of_reset_is_told_apart():
    model = tiny("JambaPolicy", "CartPole-v1")
    with pytest.raises(ValueError, match="mixing Gym API"):
        model.predict(gym.make("CartPole-v1").reset())


def test_an_observation_of_another_shape_is_refused():
    model = tiny("JambaPolicy", "Pendulum-v1")
    with pytest.raises(ValueError, match="Unexpected observation shape"):
        model.predict(np.zeros((2, 4), np.float32))


def test_the_policy_answers_without_a_state_too():
    """Code that knows nothing of memory calls these with observations alone."""
    model = tiny("JambaPolicy", "Pendulum-v1")
    obs = torch.ones(2, 3)
    distribution, _ = model.policy.get_distribution(obs)
    actions, values, log_prob, _ = model.policy(obs, deterministic=True)
    assert torch.equal(distribution.mode(), actions)
    assert torch.equal(model.policy.predict_values(obs), values)
    assert torch.allclose(distribution.log_prob(actions), log_prob)
    assert torch.equal(model.policy._predict(obs, deterministic=True), actions)
