"""The leaky sum of an observation is what it says, however steps are cut into windows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jamba_rl.nn import JambaConfig
from jamba_rl.rl.derived import LIMIT
from jamba_rl.rl.encoder import Encoder
from jamba_rl.rl.leaky_sum import DECAY, LeakySum
from tests.rl.conformance.tiny import tiny


def walk(batch=3, steps=40, size=2):
    torch.manual_seed(0)
    resets = torch.zeros(batch, steps, dtype=torch.bool)
    resets[0, 5] = resets[0, 6] = resets[1, 0] = resets[2, 39] = True
    return torch.randn(batch, steps, size), resets, torch.randn(batch, size + 1)


def one_by_one(decay, features, first, resets):
    """The sums after each step, by their definition."""
    total, sums = first, []
    for t in range(features.shape[1]):
        total = total * ~resets[:, t, None] * decay + torch.cat([features[:, t], torch.ones(len(features), 1)], -1)
        sums.append(total)
    return torch.stack(sums, 1)


@pytest.mark.parametrize("decay", [0.5, DECAY, 1.0])
def test_windows_are_summed_up_as_steps_are(decay):
    features, resets, first = walk()
    leaky = LeakySum(2, decay)
    before = leaky.before(features, first, resets)
    torch.testing.assert_close(leaky.leave(features, before), one_by_one(decay, features, first, resets))
    assert not before[resets].any(), "an episode begins with nothing"


def test_sums_of_all_sizes_come_out_at_unit_size():
    features, resets, first = walk(batch=64, steps=64)
    features = features * torch.tensor([1.0, 0.01])
    leaky = LeakySum(2)
    before = leaky.before(features, first * 0, resets)
    leaky.update(features, before)
    assert leaky.count == 64 * 64
    assert leaky(features, before).square().mean((0, 1)).sqrt().tolist() == pytest.approx([1.0] * 3, rel=0.02)
    assert leaky(torch.full((1, 2), 1e6), before[:1, 0]).tolist()[0][:2] == [LIMIT, LIMIT]


@pytest.mark.parametrize("pattern", ["MA", "L"])
@pytest.mark.parametrize(("change", "frames"), [(False, 1), (True, 3)])
def test_steps_are_the_sequence(pattern, change, frames):
    features, resets, _ = walk(steps=12 + 28)
    features, resets = features[:, :12], resets[:, :12]
    config = JambaConfig(d_model=16, pattern=pattern, num_heads=2, window=4)
    encoder = Encoder(2, 1, config, change=change, frames=frames, leaky_sum=True)
    encoder.observe(features, encoder.initial_state(3), resets)
    previous = torch.randn(3, 12, 1)
    whole = encoder(features, previous, encoder.initial_state(3), resets)
    state = encoder.initial_state(3)
    for t in range(12):
        one = encoder.step(features[:, t], previous[:, t], state, resets[:, t])
        state = one.state
        torch.testing.assert_close(one.latent, whole.latent[:, t], rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(state, whole.state, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("policy", "sees"), [("JambaPolicy", True), ("LstmPolicy", True), ("MlpPolicy", False)])
def test_whoever_remembers_sees_sums(policy, sees):
    assert (tiny(policy, "Pendulum-v1").policy.encoder.leaky_sum is not None) is sees


def test_it_can_be_left_out_and_taken_alone(tmp_path):
    assert tiny("JambaPolicy", "Pendulum-v1", {"observation_sum": False}).policy.encoder.leaky_sum is None
    alone = tiny("JambaPolicy", "Pendulum-v1", {"observation_change": False, "observation_sum": True}).learn(64)
    alone.save(tmp_path / "model")
    again = type(alone).load(tmp_path / "model").policy.encoder
    assert again.change is None
    assert torch.equal(again.leaky_sum.mean_square, alone.policy.encoder.leaky_sum.mean_square)
    assert again.leaky_sum.count == alone.policy.encoder.leaky_sum.count > 0


@pytest.mark.parametrize("shared", [True, False])
def test_its_unit_is_that_of_the_rollout(shared):
    model = tiny("JambaPolicy", "Pendulum-v1", {"shared_encoder": shared}).learn(32)
    buffer = model.rollout_buffer
    features = torch.as_tensor(buffer.observations.reshape(buffer.buffer_size, buffer.n_envs, -1)).transpose(0, 1)
    resets = torch.as_tensor(buffer.episode_starts != 0).T
    sums = one_by_one(DECAY, features, torch.zeros(len(features), features.shape[-1] + 1), resets)
    for encoder in model.policy.encoders.values():
        wanted = sums.square().mean((0, 1))
        np.testing.assert_allclose(encoder.leaky_sum.mean_square, wanted, rtol=1e-4)
