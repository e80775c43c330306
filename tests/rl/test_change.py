"""The change of an observation is what it says, and only learning moves its unit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import FlattenExtractor

from jamba_rl.nn import JambaConfig
from jamba_rl.rl.change import Change
from jamba_rl.rl.derived import LIMIT
from jamba_rl.rl.encoder import Encoder
from jamba_rl.rl.extractors import are_real_vectors
from jamba_rl.rl.ppo.lean import LeanPPO
from tests.rl.clock import collect
from tests.rl.conformance.tiny import act, tiny


def walk(batch=3, steps=12, size=2):
    torch.manual_seed(0)
    features = torch.randn(batch, steps, size).cumsum(1) * torch.tensor([1.0, 0.01])
    resets = torch.zeros(batch, steps, dtype=torch.bool)
    resets[0, 5] = resets[1, 0] = True
    return features, resets


def learned(change: Change, features, resets):
    first = features.new_zeros(len(features), change.size + 1)
    change.update(features, change.before(features, first, resets))
    return change


def test_changes_of_all_sizes_come_out_at_unit_size():
    features, resets = walk(batch=64, steps=64)
    change = learned(Change(2), features, resets)
    first = features.new_zeros(64, 3)
    seen = change(features, change.before(features, first, resets))
    assert seen[:, 1:].square().mean((0, 1)).sqrt().tolist() == pytest.approx([1.0, 1.0], rel=0.02)


def test_nothing_changes_at_the_first_step_of_an_episode():
    features, resets = walk()
    change = learned(Change(2), features, resets)
    seen = change(features, change.before(features, features.new_zeros(3, 3), resets))
    assert not seen[:, 0].any(), "there was no step before"
    assert not seen[0, 5].any(), "an episode began"
    assert seen[2, 5].all()


def test_one_update_after_the_other_is_one_over_all():
    features, resets = walk()
    whole = learned(Change(2), features, resets)
    parts = Change(2)
    before = parts.before(features, features.new_zeros(3, 3), resets)
    parts.update(features[:, :7], before[:, :7])
    parts.update(features[:, 7:], before[:, 7:])
    torch.testing.assert_close(parts.mean_square, whole.mean_square)
    assert parts.count == whole.count == 3 * 12 - 3 - 1


def test_steps_without_a_step_before_teach_nothing():
    change = Change(2)
    change.update(torch.ones(4, 2), torch.zeros(4, 3))
    assert change.count == 0
    assert torch.equal(change.mean_square, torch.ones(2))


def test_a_jump_is_cut_off():
    change = learned(Change(1), torch.arange(8.0).view(1, 8, 1) * 1e-3, torch.zeros(1, 8, dtype=torch.bool))
    seen = change(torch.tensor([[5.0]]), torch.tensor([[0.0, 1.0]]))
    assert seen == LIMIT


@pytest.mark.parametrize("pattern", ["MA", "L"])
def test_steps_are_the_sequence(pattern):
    features, resets = walk()
    encoder = Encoder(2, 1, JambaConfig(d_model=16, pattern=pattern, num_heads=2, window=4), change=True)
    encoder.observe(features, encoder.initial_state(3), resets)
    previous = torch.randn(3, 12, 1)
    whole = encoder(features, previous, encoder.initial_state(3), resets)
    halves = encoder(features[:, :5], previous[:, :5], encoder.initial_state(3), resets[:, :5])
    state = encoder.initial_state(3)
    for t in range(12):
        one = encoder.step(features[:, t], previous[:, t], state, resets[:, t])
        state = one.state
        torch.testing.assert_close(one.latent, whole.latent[:, t], rtol=1e-4, atol=1e-5)
        if t == 4:
            for mine, theirs in zip(state, halves.state, strict=True):
                torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("policy", "sees"), [("JambaPolicy", True), ("LstmPolicy", True), ("MlpPolicy", False)])
def test_whoever_remembers_sees_change(policy, sees):
    assert (tiny(policy, "Pendulum-v1").policy.encoder.change is not None) is sees


def test_it_can_be_left_out():
    model = tiny("JambaPolicy", "Pendulum-v1", {"observation_change": False}).learn(64)
    assert model.policy.encoder.change is None


def test_only_learning_moves_the_unit(tmp_path):
    model = tiny("JambaPolicy", "Pendulum-v1")
    change = model.policy.encoder.change
    act(model, model.env.reset())
    assert change.count == 0
    model.learn(64)
    size, count = change.mean_square.clone(), change.count.item()
    assert count > 0
    act(model, model.env.reset())
    assert torch.equal(change.mean_square, size)
    assert change.count == count
    model.save(tmp_path / "model")
    again = type(model).load(tmp_path / "model").policy.encoder.change
    assert torch.equal(again.mean_square, size)
    assert again.count == count


@pytest.mark.parametrize("shared", [True, False])
def test_its_unit_is_that_of_the_rollout(shared):
    model = tiny("JambaPolicy", "Pendulum-v1", {"shared_encoder": shared}).learn(32)
    buffer, encoders = model.rollout_buffer, model.policy.encoders.values()
    steps = np.diff(buffer.observations.reshape(buffer.buffer_size, buffer.n_envs, -1), axis=0)
    within = buffer.episode_starts[1:] == 0
    assert len(encoders) == (1 if shared else 2)
    for encoder in encoders:
        np.testing.assert_allclose(encoder.change.mean_square, (steps[within] ** 2).mean(0), rtol=1e-4)
        assert encoder.change.count == within.sum()


def test_the_unit_stays_as_it_was_in_the_rollout_until_the_update_is_over(monkeypatch):
    model = tiny("JambaPolicy", "Pendulum-v1").learn(32)
    count, train, seen = model.policy.encoder.change.count.item(), LeanPPO.train, []
    monkeypatch.setattr(LeanPPO, "train", lambda self: train(self) or seen.append(count_of(self)))
    model.learn(32, reset_num_timesteps=False)
    assert seen == [count]
    assert count_of(model) > count


def test_the_unit_is_learned_without_dropout():
    class Noisy(FlattenExtractor):
        def forward(self, observations):
            return torch.nn.functional.dropout(super().forward(observations), 0.5, self.training)

    model = tiny("JambaPolicy", "Pendulum-v1", {"features_extractor_class": Noisy})
    model.policy.observe(standing(model))
    assert model.policy.encoder.change.mean_square.max() < 1e-6


def standing(model):
    """Windows of observations that never change."""
    collect(model)
    whole = model.rollout_buffer.whole().observations
    B, T = whole.resets.shape
    model.policy.set_training_mode(True)
    first = whole.observations.view(B, T, -1)[:1, :1]
    state = (whole.state[0] * 0, *whole.state[1:])
    return whole._replace(observations=first.expand(B, T, -1).flatten(0, 1), state=state)


def count_of(model):
    return model.policy.encoder.change.count.item()


@pytest.mark.parametrize(
    ("space", "real"),
    [
        (spaces.Box(-1, 1, (3,)), True),
        (spaces.Dict({"a": spaces.Box(-1, 1, (3,)), "b": spaces.Box(-1, 1, (1,))}), True),
        (spaces.Dict({"a": spaces.Box(-1, 1, (3,)), "b": spaces.Discrete(2)}), False),
        (spaces.Box(0, 255, (3,), np.uint8), False),
        (spaces.Box(0, 255, (3, 36, 36), np.uint8), False),
        (spaces.Discrete(4), False),
    ],
)
def test_vectors_of_real_numbers_are_told_from_others(space, real):
    assert are_real_vectors(space) is real
