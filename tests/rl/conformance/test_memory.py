"""The memory as callers of sb3_contrib's RecurrentPPO handle it."""

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import FakeImageEnv
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from jamba_rl.rl import RecurrentPPO
from tests.rl.clock import OURS, REMEMBER, Clock
from tests.rl.conformance.tiny import tiny

CONTRIB = [
    {},
    {"shared_lstm": True, "enable_critic_lstm": False},
    {"enable_critic_lstm": True, "lstm_hidden_size": 4, "lstm_kwargs": {"dropout": 0.5}, "n_lstm_layers": 2},
    {"enable_critic_lstm": False, "lstm_hidden_size": 4, "lstm_kwargs": {"dropout": 0.5}, "n_lstm_layers": 2},
    {"enable_critic_lstm": False, "lstm_hidden_size": 4, "share_features_extractor": False},
]


class ClockInADict(Clock):
    observation_space = spaces.Dict({"clock": Clock.observation_space})

    def _observe(self):
        return {"clock": super()._observe()}


def clocks(n_envs=2):
    return DummyVecEnv([lambda i=i: Clock(length=3 + i) for i in range(n_envs)])


@pytest.mark.parametrize("policy", OURS)
@pytest.mark.parametrize("kwargs", [{}, {"shared_encoder": False}])
def test_a_state_is_a_tuple_of_arrays_whose_form_stays(policy, kwargs):
    model = tiny(policy, clocks(), kwargs)
    state, shapes = None, []
    for n_envs in (2, 2, 2):
        _, state = model.predict(np.ones((n_envs, 2), np.float32), state, np.array([False, True]))
        assert isinstance(state, tuple)
        assert all(isinstance(part, np.ndarray) and len(part) == n_envs for part in state)
        shapes.append([(part.shape, part.dtype) for part in state])
    assert shapes[0] == shapes[1] == shapes[2]


@pytest.mark.parametrize("policy", REMEMBER)
def test_an_episode_start_empties_the_memory_of_its_env_alone(policy):
    model = tiny(policy, clocks(), {"log_std_init": 0.0})
    observations = np.random.default_rng(0).normal(size=(2, 2)).astype(np.float32)
    fresh, begun = model.predict(observations, deterministic=True)
    state = begun
    for _ in range(3):
        _, state = model.predict(observations[::-1].copy(), state, np.zeros(2, bool), deterministic=True)
    actions, after = model.predict(observations, state, np.array([True, False]), deterministic=True)
    np.testing.assert_allclose(actions[0], fresh[0], atol=1e-6)
    assert not np.allclose(actions[1], fresh[1], atol=1e-7)
    for _ in range(12):  # what remains of the old episode, if anything, is never looked at
        fresh, begun = model.predict(observations, begun, deterministic=True)
        actions, after = model.predict(observations, after, deterministic=True)
        np.testing.assert_allclose(actions[0], fresh[0], atol=1e-6)


@pytest.mark.parametrize("policy", REMEMBER)
def test_no_state_is_an_empty_memory_and_no_starts_are_none(policy):
    model = tiny(policy, clocks())
    observations, rng = np.ones((2, 2), np.float32), np.random.default_rng(0)
    first, state = model.predict(observations, deterministic=True)
    junk = tuple(rng.normal(size=part.shape).astype(part.dtype) for part in state)
    emptied, _ = model.predict(observations, junk, np.ones(2, bool), deterministic=True)
    np.testing.assert_allclose(first, emptied, atol=1e-6)
    kept, _ = model.predict(observations, state, deterministic=True)
    same, _ = model.predict(observations, state, np.zeros(2, bool), deterministic=True)
    assert np.array_equal(kept, same)


def test_predict_changes_no_state_that_it_is_given():
    model = tiny("JambaPolicy", clocks())
    _, state = model.predict(np.ones((2, 2), np.float32))
    before = [part.copy() for part in state]
    model.predict(np.ones((2, 2), np.float32), state, np.ones(2, bool))
    assert all(np.array_equal(a, b) for a, b in zip(before, state, strict=True))


@pytest.mark.parametrize("policy", OURS)
@pytest.mark.parametrize("direct", [False, True])
def test_more_episodes_are_evaluated_than_there_are_envs(policy, direct):
    """Envs that have done their share are begun anew at every step while the others go on."""
    model = tiny(policy, clocks(3))
    rewards, lengths = evaluate_policy(
        model.policy if direct else model, clocks(3), n_eval_episodes=8, return_episode_rewards=True, warn=False
    )
    assert sorted(lengths) == [3, 3, 3, 4, 4, 4, 5, 5] or sorted(lengths) == [3, 3, 4, 4, 4, 5, 5, 5]
    assert rewards == lengths


def test_an_evaluation_answers_as_the_rollout_does():
    """Deterministic episodes in two envs, of which one is done before the other: none disturbs the other."""
    model = tiny("JambaPolicy", clocks()).learn(64)
    alone = [evaluate(model, DummyVecEnv([lambda i=i: Clock(length=3 + i)])) for i in range(2)]
    together = evaluate(model, clocks())
    for i in range(2):
        np.testing.assert_allclose(together[i][: 3 + i], alone[i][0][: 3 + i], rtol=1e-4, atol=1e-5)


def evaluate(model, venv) -> list[list[float]]:
    actions = [[] for _ in range(venv.num_envs)]
    observations, state, starts = venv.reset(), None, np.ones(venv.num_envs, bool)
    for _ in range(5):
        chosen, state = model.predict(observations, state, starts, deterministic=True)
        for row, action in zip(actions, chosen, strict=True):
            row.append(float(action[0]))
        observations, _, starts, _ = venv.step(chosen)
    return actions


@pytest.mark.parametrize("kwargs", CONTRIB)
@pytest.mark.parametrize("policy", ["MlpLstmPolicy", "MultiInputLstmPolicy"])
def test_contribs_arguments_train(policy, kwargs):
    env = make_vec_env(ClockInADict if policy.startswith("Multi") else Clock, n_envs=2)
    network = {"lstm_hidden_size": 4}
    model = RecurrentPPO(
        policy, env, n_steps=16, batch_size=16, n_epochs=1, policy_kwargs=network | kwargs, device="cpu"
    )
    model.learn(64)
    evaluate_policy(model, env, n_eval_episodes=2, warn=False)


def test_the_names_of_contribs_tests_run_with_their_arguments():
    env = FakeImageEnv(screen_height=40, screen_width=40, n_channels=3)
    kwargs = {
        "enable_critic_lstm": False,
        "share_features_extractor": False,
        "features_extractor_kwargs": {"features_dim": 8},
    }
    RecurrentPPO("CnnLstmPolicy", env, n_steps=16, batch_size=16, policy_kwargs=kwargs, device="cpu").learn(16)
