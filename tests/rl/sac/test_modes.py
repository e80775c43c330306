"""Ways to collect, to explore and to learn that SB3's SAC has, and chance that is the seed's alone."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise, VectorizedActionNoise

from jamba_rl.rl.schedules import WarmUp
from tests.rl.clock import OURS
from tests.rl.sac.tiny import StopAt, clocks, same, tiny, weights


class Counts(BaseCallback):
    """Updates and envs' steps whenever a rollout begins."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def _on_rollout_start(self):
        self.seen.append((self.num_timesteps, self.model._n_updates))

    def _on_step(self):
        return True


@pytest.mark.parametrize(
    ("n_envs", "kwargs", "expected"),
    [
        (1, {"train_freq": 8, "gradient_steps": 2}, [(0, 0), (8, 0), (16, 0), (24, 2), (32, 4)]),
        (1, {"train_freq": (8, "step"), "gradient_steps": -1}, [(0, 0), (8, 0), (16, 0), (24, 8), (32, 16)]),
        (3, {"train_freq": 8, "gradient_steps": -1}, [(0, 0), (24, 24)]),
        (3, {"train_freq": 4, "gradient_steps": 1}, [(0, 0), (12, 0), (24, 1), (36, 2)]),
        (1, {"train_freq": (2, "episode"), "gradient_steps": 3}, [(0, 0), (10, 0), (20, 0), (30, 3)]),
        (1, {"train_freq": (1, "episode"), "gradient_steps": -1}, [(0, 0), (5, 0), (10, 0), (15, 0), (20, 0), (25, 5)]),
        (2, {"train_freq": 16, "gradient_steps": 0}, [(0, 0), (32, 0)]),
    ],
)
@pytest.mark.parametrize("stored_state", [False, True])
def test_updates_come_as_often_as_was_asked_for(n_envs, kwargs, expected, stored_state):
    counts = Counts()
    tiny("GruPolicy", clocks(n_envs), stored_state=stored_state, **kwargs).learn(expected[-1][0] + 1, callback=counts)
    assert counts.seen == expected


def test_episodes_of_several_envs_at_once_are_refused_as_by_sb3():
    with pytest.raises(AssertionError, match="You must use only one env"):
        tiny("GruPolicy", clocks(2), train_freq=(1, "episode")).learn(10)


def test_training_waits_until_there_is_a_window():
    """Silently: there may be experience enough, of several envs, and no window in it yet."""
    counts = Counts()
    model = tiny("GruPolicy", clocks(2), learning_starts=0, sequence_length=20, batch_size=20, train_freq=4)
    before = weights(model)
    model.learn(32, callback=counts)
    assert same(weights(model), before)
    assert model._n_updates == 0
    model.learn(16, callback=counts, reset_num_timesteps=False)
    assert [updates for _, updates in counts.seen] == [0, 0, 0, 0, 0, 2]  # 17 steps and 3 last frames a window
    assert model._n_updates == 4
    assert not same(weights(model), before)


@pytest.mark.parametrize(
    "noise",
    [
        NormalActionNoise(np.zeros(1), 5.0 * np.ones(1)),
        OrnsteinUhlenbeckActionNoise(np.zeros(1), np.ones(1)),
        VectorizedActionNoise(NormalActionNoise(np.zeros(1), np.ones(1)), 3),
    ],
)
def test_noise_on_actions(noise):
    model = tiny("JambaPolicy", clocks(3), action_noise=noise, gradient_steps=0, learning_starts=0)
    with torch.no_grad():
        model.actor.log_std.weight.zero_()
        model.actor.log_std.bias.fill_(-20.0)
    model.learn(96)
    tape = model.replay_buffer
    actions = tape.actions[:, : tape.size(), 0]
    assert np.abs(actions).max() <= 1.0
    assert np.ptp(actions, axis=1).min() > 0.5
    assert isinstance(model.action_noise, VectorizedActionNoise)
    assert abs(np.corrcoef(actions[:, :30])[0, 1]) < 0.95  # every env has its own


@pytest.mark.parametrize("kwargs", [{}, {"sde_sample_freq": 4}, {"sde_sample_freq": 2, "use_sde_at_warmup": True}])
@pytest.mark.parametrize("policy", OURS)
def test_exploration_that_depends_on_the_state(policy, kwargs):
    model = tiny(policy, clocks(2), use_sde=True, **kwargs)
    before = model.actor.log_std.detach().clone()
    model.learn(64)
    assert not torch.equal(before, model.actor.log_std)
    assert model.actor.action_dist.exploration_matrices.shape[0] in (1, 2)
    assert all(bool(torch.isfinite(value).all()) for value in weights(model).values())


@pytest.mark.parametrize("at_warmup", [False, True])
def test_noise_of_the_state_is_kept_for_so_many_steps(at_warmup):
    """In between it is a function of the latent: the same at the same latent."""
    model = tiny("MlpPolicy", clocks(1), use_sde=True, sde_sample_freq=3, use_sde_at_warmup=at_warmup, train_freq=12)
    matrices = []

    class Look(BaseCallback):
        def _on_step(self):
            matrices.append(self.model.actor.action_dist.exploration_matrices.clone())
            return True

    model.learn(12, callback=Look())
    alike = [torch.equal(one, two) for one, two in pairwise(matrices)]
    assert alike == [True, True, False] * 3 + [True, True]
    random = model.replay_buffer.actions[0, :5, 0]
    assert bool(np.abs(random).max() < 0.5) is at_warmup  # small at first, where uniform ones are not


@pytest.mark.parametrize("policy", OURS)
def test_the_seed_is_all_the_chance_there_is(policy):
    one, two, other = (tiny(policy, clocks(2), seed=seed).learn(64) for seed in (3, 3, 4))
    assert same(weights(one), weights(two))
    assert not same(weights(one), weights(other))
    assert np.array_equal(one.replay_buffer.actions, two.replay_buffer.actions)
    assert one._n_updates > 0


def test_schedules_are_followed():
    rates = []

    class Look(BaseCallback):
        def _on_rollout_start(self):
            rates.append([group["lr"] for group in self.model.critic.optimizer.param_groups])

        def _on_step(self):
            return True

    options = {"encoder_learning_rate_ratio": 0.1}
    model = tiny("GruPolicy", clocks(1), options, learning_rate=WarmUp(lambda _: 1.0e-2, 0.5), learning_starts=0)
    model.learn(64, callback=Look())
    expected = [[pytest.approx(rate / 10), pytest.approx(rate)] for rate in (5e-3, 7.5e-3, 1e-2, 1e-2, 1e-2, 1e-2)]
    assert rates[2:] == expected
    assert model.ent_coef_optimizer.param_groups[0]["lr"] == pytest.approx(1e-2)


def test_a_temperature_that_is_learned_and_one_that_is_not():
    fixed = tiny("GruPolicy", clocks(), ent_coef=0.3).learn(64)
    assert fixed.logger.name_to_value.get("train/ent_coef", 0.3) == pytest.approx(0.3)
    assert fixed.ent_coef_optimizer is None
    learned = tiny("GruPolicy", clocks(), ent_coef="auto_0.1", learning_rate=0.01).learn(64)
    start, end = 0.1, float(learned.log_ent_coef.detach().exp())
    assert start != pytest.approx(end, rel=1e-3)
    assert start == pytest.approx(end, rel=0.1)
    # a policy that is too random for the target is made less so
    calm = tiny("GruPolicy", clocks(), target_entropy=-50.0).learn(64)
    wild = tiny("GruPolicy", clocks(), target_entropy=50.0).learn(64)
    assert calm.log_ent_coef < 0 < wild.log_ent_coef


@pytest.mark.parametrize("stop", [3, 21])
def test_a_stop_in_the_middle_of_a_rollout_learns_nothing_of_it(stop):
    model = tiny("GruPolicy", clocks(1), learning_starts=0)
    model.learn(1000, callback=StopAt(stop))
    assert model._n_updates == 2 * (stop // 8)
