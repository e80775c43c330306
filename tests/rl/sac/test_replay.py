"""What is sampled is what happened."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from jamba_rl.rl.sac.replay import SequenceReplayBuffer
from jamba_rl.tasks import make_env
from tests.rl.clock import Clock

ACTIONS = spaces.Box(-1.0, 1.0, (1,), np.float32)


class Dicts(Clock):
    """The same clock behind a key."""

    observation_space = spaces.Dict({"clock": Clock.observation_space})

    def _observe(self):
        return {"clock": super()._observe()}


def filled(steps=100, size=10_000, lengths=(5, 7), truncate=False, kind=Clock, **kwargs):
    """A buffer, and per env what happened: (observation, action, reward, next observation, ended by itself, over)."""
    venv = DummyVecEnv([lambda n=n: kind(n, truncate, ACTIONS) for n in lengths])
    buffer = SequenceReplayBuffer(size, venv.observation_space, ACTIONS, "cpu", len(lengths), **kwargs)
    generator, obs, story = np.random.default_rng(0), venv.reset(), [[] for _ in lengths]
    for _ in range(steps):
        actions = generator.uniform(-1, 1, (len(lengths), 1)).astype(np.float32)
        after, _, dones, infos = venv.step(actions)
        rewards = generator.normal(size=len(lengths)).astype(np.float32)
        last = {k: v.copy() for k, v in after.items()} if isinstance(after, dict) else after.copy()
        for i in np.flatnonzero(dones):
            for key in last if isinstance(last, dict) else [None]:
                part = infos[i]["terminal_observation"]
                (last if key is None else last[key])[i] = part if key is None else part[key]
        buffer.add(obs, last, actions, rewards, dones, infos)
        for i, told in enumerate(story):
            told.append((flat(obs)[i], actions[i, 0], rewards[i], flat(last)[i], dones[i] and not truncate, dones[i]))
        obs = after
    return buffer, story


def flat(obs):
    part = obs["clock"] if isinstance(obs, dict) else obs
    return part.numpy() if isinstance(part, torch.Tensor) else part.copy()


def find(story, frame):
    """When this frame was seen: times and episodes tell all frames of an env apart, envs differ in their lengths."""
    return next(t for t, step in enumerate(story) if np.array_equal(step[0], frame))


@pytest.mark.parametrize("kind", [Clock, Dicts])
@pytest.mark.parametrize("truncate", [True, False])
@pytest.mark.parametrize(("steps", "size"), [(100, 10_000), (100, 90), (31, 90)])
def test_a_window_is_what_happened_one_step_after_the_other(kind, truncate, steps, size):
    np.random.seed(0)  # noqa: NPY002 (SB3's generator)
    buffer, (story,) = filled(steps, size, (5,), truncate, kind, sequence_length=16)
    learned = 0
    for _ in range(8):
        batch = buffer.sample(64)
        frames = flat(batch.observations.observations).reshape(4, 17, 2)
        for b in range(4):
            for t in range(16):
                if not batch.mask[b, t]:
                    continue
                _, action, reward, after, ended, _ = story[find(story, frames[b, t])]
                assert batch.actions[b, t, 0] == action
                assert batch.returns[b, t] == reward
                assert np.array_equal(frames[b, t + 1], after)
                assert batch.discounts[b, t] == pytest.approx(0.0 if ended else 0.99)
                learned += 1
    assert learned > 8 * 4 * 16 * 0.7


def test_every_step_that_is_held_is_sampled_and_no_other():
    np.random.seed(0)  # noqa: NPY002
    buffer, (story,) = filled(100, 41, (5,), sequence_length=4)
    seen = set()
    for _ in range(300):
        batch = buffer.sample(16)
        frames = batch.observations.observations.view(4, 5, 2)[:, :-1][batch.mask]
        seen |= {find(story, frame.numpy()) for frame in frames}
    # of 41 frames one in six is a last one
    assert seen == set(range(100 - len(seen), 100))
    assert 32 <= len(seen) <= 36


def test_episodes_and_previous_actions():
    np.random.seed(0)  # noqa: NPY002
    buffer, (story,) = filled(60, lengths=(5,), sequence_length=12)
    for _ in range(20):
        windows = buffer.sample(48).observations
        frames = windows.observations.view(4, 13, 2).numpy()
        assert np.array_equal(windows.resets.numpy(), frames[..., 0] == 0)
        for b, t in np.ndindex(4, 13):
            time = frames[b, t, 0]
            at = next((i for i, step in enumerate(story) if np.array_equal(step[3], frames[b, t])), None)
            expected = 0.0 if time == 0 or at is None else story[at][1]
            if t == 0 and np.array_equal(frames[b, 0], buffer.frames[""][0, 0]):
                expected = 0.0  # of the oldest frame nobody knows
            assert windows.previous[b, t, 0] == np.float32(expected)


def test_the_burn_in_is_not_learned_from():
    buffer, _ = filled(100, lengths=(1000,), sequence_length=8, burn_in=3)
    batch = buffer.sample(44)  # the burn-in is read too
    assert batch.mask.shape == (4, 11)
    assert batch.observations.resets.shape == (4, 12)
    assert not batch.mask[:, :3].any()
    assert batch.mask[:, 3:].all()


@pytest.mark.parametrize("n_steps", [2, 3, 9])
@pytest.mark.parametrize("truncate", [True, False])
def test_returns_of_several_steps_end_with_the_episode_or_the_window(n_steps, truncate):
    np.random.seed(0)  # noqa: NPY002
    buffer, (story,) = filled(80, lengths=(6,), truncate=truncate, sequence_length=8, n_steps=n_steps, gamma=0.9)
    for _ in range(10):
        batch = buffer.sample(32)
        frames = batch.observations.observations.view(4, 9, 2).numpy()
        for b, t in zip(*batch.mask.nonzero(as_tuple=True), strict=True):
            first = find(story, frames[b, t])
            total, ahead, over = 0.0, 0, False
            while ahead < n_steps and t + ahead < 8 and not over:
                total += 0.9**ahead * story[first + ahead][2]
                over = story[first + ahead][5]
                ahead += 1
            assert batch.ahead[b, t] == ahead
            assert batch.returns[b, t] == pytest.approx(total, abs=1e-5)
            assert batch.discounts[b, t] == pytest.approx(0.0 if over and not truncate else 0.9**ahead)


def test_tapes_of_several_envs_are_apart():
    np.random.seed(0)  # noqa: NPY002
    buffer, stories = filled(200, lengths=(5, 7), sequence_length=8)
    kinds = set()
    for _ in range(20):
        batch = buffer.sample(64)
        frames = batch.observations.observations.view(8, 9, 2).numpy()
        longest = frames[..., 0].max(1)
        kinds |= set(longest.tolist())
        for b in range(8):
            story = stories[0] if longest[b] == 5 else stories[1]
            t = int(batch.mask[b].nonzero()[0])
            assert batch.actions[b, t, 0] == story[find(story, frames[b, t])][1]
    assert kinds == {5.0, 7.0}


def test_a_step_that_does_not_follow_cuts_the_episode():
    buffer = SequenceReplayBuffer(100, Clock.observation_space, ACTIONS, "cpu", sequence_length=4)
    for episode in (1, 2):
        for t in range(3):
            obs, after = np.array([[t, episode]]), np.array([[t + 1, episode]])
            buffer.add(obs, after, np.full((1, 1), 0.5), np.ones(1), np.zeros(1), [{}])
    assert buffer.size() == 7  # three steps, where the first episode was left, three steps
    assert buffer.kinds[0, :7].tolist() == [0, 0, 0, 2, 0, 0, 0]
    assert buffer.begins[0, :7].tolist() == [True, False, False, False, True, False, False]


def test_normalisation_is_that_of_the_venv():
    venv = VecNormalize(DummyVecEnv([lambda: Clock(5, False, ACTIONS)]), clip_obs=100.0)
    venv.reset()
    for _ in range(30):
        venv.step(np.zeros((1, 1), np.float32))
    buffer, _ = filled(50, lengths=(5,), sequence_length=8)
    np.random.seed(0)  # noqa: NPY002
    plain = buffer.sample(32)
    np.random.seed(0)  # noqa: NPY002
    scaled = buffer.sample(32, venv)
    raw = plain.observations.observations.numpy()
    np.testing.assert_allclose(scaled.observations.observations, venv.normalize_obs(raw), rtol=1e-5)
    np.testing.assert_allclose(scaled.returns, venv.normalize_reward(plain.returns.numpy()), rtol=1e-5)
    assert torch.equal(scaled.actions, plain.actions)


def test_a_window_longer_than_what_is_there_waits():
    buffer, _ = filled(5, lengths=(1000,), sequence_length=8)
    assert not buffer.ready
    with pytest.raises(ValueError, match="a window has 8 steps and the replay holds 5 yet"):
        buffer.sample(8)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sequence_length": 0}, "sequence_length must be a whole number, at least 1, was 0"),
        ({"burn_in": -1}, "burn_in must be a whole number, at least 0, was -1"),
        ({"n_steps": 1.5}, "n_steps must be a whole number, at least 1, was 1.5"),
        ({"sequence_length": 101}, "room for 100 steps of each of 1 envs; a window needs 101"),
        ({"optimize_memory_usage": True}, "keeps each frame once anyway"),
    ],
)
def test_bad_sizes_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        SequenceReplayBuffer(100, Clock.observation_space, ACTIONS, "cpu", **options)


@pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")
def test_a_step_takes_little_more_than_half_the_memory_of_sb3s_buffer():
    env = make_env("HalfCheetah-v4").envs[0]
    spaces_of = env.observation_space, env.action_space
    ours, theirs = SequenceReplayBuffer(10_000, *spaces_of, "cpu"), ReplayBuffer(10_000, *spaces_of, "cpu")
    assert 0.4 < size_of(ours) / size_of(theirs) < 0.6


def size_of(buffer):
    """Bytes of all arrays."""
    arrays = [part for part in vars(buffer).values() if isinstance(part, np.ndarray)]
    return sum(part.nbytes for part in [*arrays, *getattr(buffer, "frames", {}).values()])
