"""The last reward as an observation."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from jamba_rl.rl import PreviousReward, RecurrentPPO, VecPreviousReward
from tests.rl.clock import SMALL, Clock


class Paid(Clock):
    """Pays the number of the step."""

    def step(self, action):
        observation, _, terminated, truncated, info = super().step(action)
        return observation, float(self.t), terminated, truncated, info


class PaidDict(Paid):
    observation_space = spaces.Dict({"clock": Clock.observation_space})

    def _observe(self):
        return {"clock": super()._observe()}


def reward_of(observation):
    return observation["previous_reward"][..., 0] if isinstance(observation, dict) else observation[..., -1]


@pytest.mark.parametrize("env", [Paid, PaidDict])
def test_an_env_shows_its_last_reward_and_zero_at_the_start(env):
    wrapped = PreviousReward(env())
    check_env(wrapped, warn=False)
    seen = [reward_of(wrapped.reset()[0])]
    for _ in range(5):
        observation, *_ = wrapped.step(np.zeros(1, np.float32))
        assert wrapped.observation_space.contains(observation)
        seen.append(reward_of(observation))
    assert seen == [0, 1, 2, 3, 4, 5]
    assert reward_of(wrapped.reset()[0]) == 0


@pytest.mark.parametrize("env", [Paid, PaidDict])
def test_the_two_forms_show_the_same(env):
    one = DummyVecEnv([lambda: PreviousReward(env(length=3)), lambda: PreviousReward(env(length=4))])
    many = VecPreviousReward(DummyVecEnv([lambda: env(length=3), lambda: env(length=4)]))
    assert one.observation_space == many.observation_space
    np.testing.assert_equal(one.reset(), many.reset())
    for _ in range(9):
        ours, theirs = many.step(np.zeros((2, 1))), one.step(np.zeros((2, 1)))
        np.testing.assert_equal(ours[:3], theirs[:3])
        for a, b in zip(ours[3], theirs[3], strict=True):
            np.testing.assert_equal(a.get("terminal_observation"), b.get("terminal_observation"))


def test_rewards_of_other_types_of_vectors_are_floats():
    class Whole(Paid):
        observation_space = spaces.Box(0, 9, (1,), np.int64)

        def _observe(self):
            return np.array([self.t])

    env = PreviousReward(Whole())
    assert env.observation_space == spaces.Box(np.float32([0, -np.inf]), np.float32([9, np.inf]))
    env.reset()
    observation = env.step(None)[0]
    assert observation.dtype == np.float32
    assert observation.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("space", [spaces.Discrete(2), spaces.Box(0, 255, (3, 8, 8), np.uint8)])
def test_a_reward_is_not_joined_to_what_it_does_not_fit(space):
    env = Clock()
    env.observation_space = space
    with pytest.raises(ValueError, match="a reward can be joined to a vector or a dict"):
        PreviousReward(env)


def test_it_is_not_joined_twice_to_a_dict():
    with pytest.raises(ValueError, match="without 'previous_reward'"):
        PreviousReward(PreviousReward(PaidDict()))


def test_the_wrapper_is_rebuilt_from_its_spec():
    gym.register("Paid-v0", Paid)
    try:
        env = PreviousReward(gym.make("Paid-v0"))
        again = gym.make(env.spec)
        assert again.observation_space == env.observation_space
    finally:
        gym.registry.pop("Paid-v0")


def test_an_agent_learns_with_it():
    venv = VecNormalize(VecPreviousReward(DummyVecEnv([Paid, Paid])))
    model = RecurrentPPO("JambaPolicy", venv, n_steps=16, batch_size=16, n_epochs=1, policy_kwargs=SMALL, device="cpu")
    model.learn(32)
    assert model.observation_space.shape == (3,)
