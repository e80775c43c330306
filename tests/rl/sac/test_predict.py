"""predict: the memory is carried, shapes follow from the observation, actions are those of the env."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.evaluation import evaluate_policy

from tests.rl.clock import OURS, REMEMBER
from tests.rl.conformance.tiny import act
from tests.rl.noise import Noise
from tests.rl.sac.tiny import clocks, tiny

ROWS = np.random.default_rng(0).normal(size=(2, 2)).astype(np.float32)
SPACES = [
    spaces.Box(np.float32([-1, -7]), np.float32([3, -5])),
    spaces.Box(-3, 1, (2, 2), np.float32),
    spaces.Box(np.float64([0, -3]), np.float64([0.3, 5]), dtype=np.float64),
]


@pytest.mark.parametrize("policy", OURS)
@pytest.mark.parametrize("options", [{}, {"shared_encoder": True}, {"frames": 3}])
def test_a_state_is_a_tuple_of_arrays_whose_form_stays(policy, options):
    model = tiny(policy, clocks(), options)
    state, shapes = None, []
    for _ in range(3):
        _, state = model.predict(ROWS, state, np.array([False, True]))
        assert isinstance(state, tuple)
        assert all(isinstance(part, np.ndarray) and len(part) == 2 for part in state)
        shapes.append([(part.shape, part.dtype) for part in state])
    assert shapes[0] == shapes[1] == shapes[2]


@pytest.mark.parametrize("policy", REMEMBER)
def test_an_episode_start_empties_the_memory_of_its_env_alone(policy):
    model = tiny(policy, clocks())
    fresh, begun = model.predict(ROWS, deterministic=True)
    state = begun
    for _ in range(3):
        _, state = model.predict(ROWS[::-1].copy(), state, np.zeros(2, bool), deterministic=True)
    actions, after = model.predict(ROWS, state, np.array([True, False]), deterministic=True)
    np.testing.assert_allclose(actions[0], fresh[0], atol=1e-6)
    assert abs(actions[1] - fresh[1]) > 1e-6
    for _ in range(12):  # what remains of the old episode, if anything, is never looked at
        fresh, begun = model.predict(ROWS, begun, deterministic=True)
        actions, after = model.predict(ROWS, after, deterministic=True)
        np.testing.assert_allclose(actions[0], fresh[0], atol=1e-6)


@pytest.mark.parametrize("policy", REMEMBER)
def test_no_state_is_an_empty_memory_and_no_starts_are_none(policy):
    model = tiny(policy, clocks())
    first, state = model.predict(ROWS, deterministic=True)
    rng = np.random.default_rng(0)
    junk = tuple(rng.normal(size=part.shape).astype(part.dtype) for part in state)
    emptied, _ = model.predict(ROWS, junk, np.ones(2, bool), deterministic=True)
    np.testing.assert_allclose(first, emptied, atol=1e-6)
    kept, _ = model.predict(ROWS, state, deterministic=True)
    alike, _ = model.predict(ROWS, state, np.zeros(2, bool), deterministic=True)
    assert np.array_equal(kept, alike)
    assert not np.array_equal(kept, first)


def test_frames_are_a_memory_of_so_many_steps():
    model = tiny("MlpPolicy", clocks(), {"frames": 3})
    states = [None, None]
    for step, rows in enumerate([(1, 2), (5, 5), (6, 6), (7, 7)]):
        actions = []
        for i, row in enumerate(rows):
            action, states[i] = model.predict(np.full(2, row, np.float32), states[i], deterministic=True)
            actions.append(action)
        assert np.array_equal(*actions) is (step == 3)  # the first step is out of sight


def test_predict_changes_no_state_that_it_is_given():
    model = tiny("JambaPolicy", clocks())
    _, state = model.predict(ROWS)
    before = [part.copy() for part in state]
    model.predict(ROWS, state, np.ones(2, bool))
    assert all(np.array_equal(a, b) for a, b in zip(before, state, strict=True))


@pytest.mark.parametrize("policy", OURS)
def test_one_observation_is_answered_as_in_a_batch(policy):
    model = tiny(policy, clocks())
    together = act(model, ROWS)
    for i, row in enumerate(ROWS):
        alone = act(model, row)
        assert alone.shape == (3, 1)
        np.testing.assert_allclose(alone, together[:, i], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("use_sde", [False, True])
def test_deterministic_actions_are_the_same_every_time_and_others_are_not(use_sde):
    model = tiny("JambaPolicy", clocks(), use_sde=use_sde)
    assert np.array_equal(act(model, ROWS), act(model, ROWS))
    first, _ = model.predict(ROWS)
    model.policy.reset_noise(2) if use_sde else None
    assert not np.array_equal(first, model.predict(ROWS)[0])


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_actions_lie_within_the_bounds_and_reach_them(space):
    model = tiny("JambaPolicy", Noise(actions=space))
    with torch.no_grad():
        model.actor.log_std.bias.fill_(2.0)
    observations = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    actions, state = model.predict(observations)
    assert actions.shape == (200, *space.shape)
    assert (actions >= space.low).all()
    assert (actions <= space.high).all()
    span = (actions.max(0) - actions.min(0)) / (space.high - space.low)
    assert (span > 0.9).all()
    scaled = model.policy.scale_action(actions).reshape(200, -1)
    np.testing.assert_allclose(state[0], scaled, atol=1e-5)  # the previous action, whatever the bounds
    action, _ = model.predict(observations[0])
    assert action.shape == space.shape


def test_envs_and_ids_are_wrapped():
    for env in ("Pendulum-v1", gym.make("Pendulum-v1")):
        model = tiny("GruPolicy", env)
        observation = model.get_env().reset()
        assert observation.shape == (1, 3)
        assert model.predict(observation)[0].shape == (1, 1)


@pytest.mark.parametrize("direct", [False, True])
def test_more_episodes_are_evaluated_than_there_are_envs(direct):
    model = tiny("JambaPolicy", clocks(3))
    rewards, lengths = evaluate_policy(
        model.policy if direct else model, clocks(3), n_eval_episodes=8, return_episode_rewards=True, warn=False
    )
    assert sorted(set(lengths)) == [5, 6, 7]
    assert rewards == lengths
    assert len(lengths) == 8


@pytest.mark.parametrize("previous_action", [True, False])
def test_a_state_or_starts_of_other_envs_are_refused(previous_action):
    model = tiny("JambaPolicy", clocks(), {"previous_action": previous_action})
    _, state = model.predict(np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="the state is of 3 envs and the observation of 2"):
        model.predict(ROWS, state)
    with pytest.raises(ValueError, match="the episode_start is of 3 envs and the observation of 2"):
        model.predict(ROWS, episode_start=np.ones(3, bool))


def test_what_is_no_observation_is_refused():
    model = tiny("JambaPolicy", "Pendulum-v1")
    with pytest.raises(ValueError, match="mixing Gym API"):
        model.predict(gym.make("Pendulum-v1").reset())
    with pytest.raises(ValueError, match="Unexpected observation shape"):
        model.predict(np.zeros((2, 4), np.float32))


def test_the_policy_answers_without_a_state_too():
    """Code that knows nothing of memory calls these with observations alone."""
    model = tiny("JambaPolicy", clocks())
    obs = torch.as_tensor(ROWS)
    with torch.no_grad():
        actions = model.policy(obs, deterministic=True)
        assert torch.equal(model.policy._predict(obs, deterministic=True), actions)
    np.testing.assert_allclose(2.0 * actions.numpy(), model.predict(ROWS, deterministic=True)[0], rtol=1e-6)
