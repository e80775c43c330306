"""RecurrentPPO: memory through rollouts, windows, updates, files."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from jamba_rl.rl import RecurrentPPO
from jamba_rl.rl.sequences import to_tensors
from tests.rl.clock import OURS, SMALL, Clock, clock_model, collect


@pytest.mark.parametrize("policy", OURS)
@pytest.mark.parametrize("sequence_length", [1, 4, 16])
def test_windows_reproduce_what_the_rollout_computed(policy, sequence_length):
    """Before any update, evaluating the windows gives the values and log-probabilities of the rollout.

    Episodes of 5 and 6 steps: resets lie inside windows, and windows start inside episodes.
    """
    model = clock_model(policy=policy, sequence_length=sequence_length)
    collect(model, rollouts=2)  # the second rollout starts with a memory
    seen = 0
    for batch in model.rollout_buffer.get(16):
        with torch.no_grad():
            values, log_prob, _ = model.policy.evaluate_actions(batch.observations, batch.actions)
        torch.testing.assert_close(values.flatten(), batch.old_values, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(log_prob, batch.old_log_prob, rtol=1e-5, atol=1e-5)
        seen += len(values)
    assert seen == model.n_steps * model.n_envs


@pytest.mark.parametrize(
    "space", [spaces.Discrete(3), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2), spaces.Box(-1, 1, (2, 2))]
)
def test_windows_reproduce_the_rollout_for_every_action_space(space):
    model = clock_model(env_kwargs={"action_space": space}, sequence_length=8)
    collect(model, rollouts=2)
    for batch in model.rollout_buffer.get(16):
        actions = batch.actions.long().flatten() if isinstance(space, spaces.Discrete) else batch.actions
        with torch.no_grad():
            _values, log_prob, _ = model.policy.evaluate_actions(batch.observations, actions)
        torch.testing.assert_close(log_prob, batch.old_log_prob, rtol=1e-5, atol=1e-5)
    model.learn(32)


def test_windows_are_consecutive_steps_of_one_env_with_resets_inside():
    model = clock_model(sequence_length=8)
    collect(model)
    resets = 0
    for batch in model.rollout_buffer.get(8):
        observations = batch.observations.observations
        step, episode = observations[:, 0], observations[:, 1]
        reset = batch.observations.resets.flatten()
        goes_on = (step[1:] == step[:-1] + 1) & (episode[1:] == episode[:-1])
        begins = (step[1:] == 0) & (episode[1:] == episode[:-1] + 1)
        assert torch.equal(begins, reset[1:])
        assert bool((goes_on | begins).all())
        resets += int(reset.sum())
    assert resets > 4


def test_memory_is_stored_at_window_starts_only():
    model = clock_model(sequence_length=8)
    collect(model)
    assert len(model.rollout_buffer.states) == 2
    assert model.rollout_buffer.states[0][1].shape[0] == model.n_envs


def test_minibatches_are_a_new_permutation_each_epoch_and_cover_everything():
    model = clock_model(sequence_length=4)
    collect(model)
    epochs = [torch.cat([b.observations.observations for b in model.rollout_buffer.get(16)]) for _ in range(2)]
    assert not torch.equal(*epochs)
    rows = [sorted(map(tuple, epoch.tolist())) for epoch in epochs]
    assert rows[0] == rows[1]


def test_the_whole_rollout_is_one_minibatch_in_order():
    model = clock_model(sequence_length=4)
    collect(model)
    whole, buffer = model.rollout_buffer.whole(), model.rollout_buffer
    assert torch.equal(whole.observations.observations.view(-1, 4, 2)[:2, 0], torch.as_tensor(buffer.observations[0]))
    assert len(whole.actions) == buffer.buffer_size * buffer.n_envs


@pytest.mark.parametrize(("floor", "blown_up"), [(0.01, True), (100.0, False)])
def test_advantages_below_the_floor_are_not_blown_up(floor, blown_up):
    plain, floored = rollout(), rollout(advantage_floor=floor)
    raw, seen = plain.advantages, floored.advantages
    assert 0.01 < raw.std() < 100.0
    np.testing.assert_allclose(seen, (raw - raw.mean()) / (raw.std() if blown_up else 100.0), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(plain.returns, floored.returns)


def test_a_floor_takes_the_place_of_the_normalisation_of_minibatches():
    assert clock_model()._loss_form().normalize_advantage
    assert not clock_model(advantage_floor=0.1)._loss_form().normalize_advantage
    unscaled = rollout(normalize_advantage=False, advantage_floor=0.1)
    np.testing.assert_array_equal(unscaled.advantages, rollout().advantages)


def rollout(**kwargs):
    """What the same agent collects."""
    model = clock_model(seed=0, **kwargs)
    collect(model)
    return model.rollout_buffer


@pytest.mark.parametrize("truncate", [True, False])
def test_time_limits_are_bootstrapped_and_real_ends_are_not(truncate):
    model = clock_model(n_envs=1, env_kwargs={"truncate": truncate}, gamma=0.5)
    collect(model)
    buffer = model.rollout_buffer
    last = np.flatnonzero(np.roll(buffer.episode_starts[:, 0], -1)[:-1])  # steps before a start
    assert len(last) == 3
    if not truncate:
        assert np.allclose(buffer.rewards, 1.0)
        return
    # the value of the last observation, with the memory of the whole episode behind it
    policy, episode = model.policy, 1
    for t in last:
        memory = None
        for step in range(t - 4, t + 1):
            observation = np.array([[step - (t - 4), episode]], np.float32)
            obs = torch.as_tensor(observation)
            if memory is None:
                memory = policy.initial_state(1)
            with torch.no_grad():
                _, after = policy.get_distribution(obs, memory, torch.zeros(1, dtype=torch.bool))
            taken = torch.as_tensor(buffer.actions[step])
            memory = (policy._remembered(taken), *after)
        with torch.no_grad():
            end = torch.tensor([[5.0, episode]])
            value = policy.predict_values(end, memory, torch.zeros(1, dtype=torch.bool))
        assert buffer.rewards[t, 0] == pytest.approx(1.0 + 0.5 * value.item(), abs=1e-5)
        episode += 1


def test_predict_carries_memory_and_forgets_at_episode_starts():
    model = clock_model()
    obs = np.ones((2, 2), np.float32)
    first, state = model.predict(obs, deterministic=True)
    second, state = model.predict(obs, state, np.zeros(2, bool), deterministic=True)
    again, _ = model.predict(obs, state, np.array([True, False]), deterministic=True)
    assert not np.allclose(first, second)
    assert np.allclose(again[0], first[0], atol=1e-6)
    assert not np.allclose(again[1], first[1], atol=1e-6)
    assert all(isinstance(part, np.ndarray) and len(part) == 2 for part in state)


def test_predict_equals_the_rollouts_actions():
    """Replaying the observations and the memory of a rollout through predict's path gives the same distribution."""
    model = clock_model(policy="LstmPolicy")
    memory = to_tensors(model._last_state, model.device)
    obs, starts = torch.ones(2, 2), torch.ones(2, dtype=torch.bool)
    actions, _, _, state = model.policy(obs, memory, starts, deterministic=True)
    predicted, predicted_state = model.predict(obs.numpy(), None, starts.numpy(), deterministic=True)
    assert np.allclose(np.clip(actions.detach().numpy(), -2, 2), predicted, atol=1e-6)
    for ours, theirs in zip(state, predicted_state, strict=True):
        assert np.allclose(ours.detach().numpy(), theirs, atol=1e-6)


def test_predict_takes_a_single_observation_and_leaves_parameters_alone():
    model = clock_model()
    before = {k: v.clone() for k, v in model.policy.state_dict().items()}
    action, state = model.predict(np.zeros(2, np.float32))
    assert action.shape == (1,)
    assert len(state[0]) == 1
    assert all(torch.equal(v, before[k]) for k, v in model.policy.state_dict().items())


def test_the_previous_action_is_what_the_env_received():
    policy = clock_model().policy
    encoded = policy.encode_action(torch.tensor([[5.0], [-1.0], [0.5]]))
    assert encoded.flatten().tolist() == [1.0, -0.5, 0.25]


def test_a_policy_without_memory_sees_no_previous_action():
    policy = clock_model(policy="MlpPolicy").policy
    assert policy.initial_state(2)[0].shape == (2, 0)


@pytest.mark.parametrize("policy", OURS)
def test_one_seed_run_twice_gives_identical_weights(policy):
    weights = []
    for _ in range(2):
        model = clock_model(policy=policy).learn(96)
        weights.append(torch.cat([p.flatten() for p in model.policy.parameters()]))
    assert torch.equal(*weights)


@pytest.mark.parametrize("policy", OURS)
def test_a_saved_model_predicts_the_same_and_learns_on(policy, tmp_path):
    model = clock_model(policy=policy).learn(32)
    model.save(tmp_path / "model")
    loaded = RecurrentPPO.load(tmp_path / "model", env=model.get_env(), device="cpu")
    obs = np.ones((2, 2), np.float32)
    state = other = None
    for _ in range(3):
        action, state = model.predict(obs, state, deterministic=True)
        same, other = loaded.predict(obs, other, deterministic=True)
        assert np.array_equal(action, same)
    loaded.learn(32, reset_num_timesteps=False)
    assert loaded.num_timesteps == 64


def test_loading_without_a_reset_keeps_the_memory_in_mid_episode(tmp_path):
    model = clock_model().learn(32)
    assert model._last_state[1].abs().sum() > 0
    model.save(tmp_path / "model")
    loaded = RecurrentPPO.load(tmp_path / "model", env=model.get_env(), device="cpu", force_reset=False)
    for ours, theirs in zip(model._last_state, loaded._last_state, strict=True):
        assert torch.equal(ours, theirs)


def test_a_model_loads_with_another_number_of_envs(tmp_path):
    clock_model(n_envs=2).learn(32).save(tmp_path / "model")
    loaded = RecurrentPPO.load(tmp_path / "model", env=DummyVecEnv([Clock] * 3), device="cpu")
    loaded.learn(48)
    assert len(loaded._last_state[0]) == 3


def test_a_policy_saves_and_loads_with_its_network(tmp_path):
    policy = clock_model().policy
    policy.save(tmp_path / "policy")
    loaded = type(policy).load(tmp_path / "policy", device="cpu")
    assert loaded.network == policy.network
    obs = np.ones((1, 2), np.float32)
    assert np.array_equal(policy.predict(obs, deterministic=True)[0], loaded.predict(obs, deterministic=True)[0])


def test_time_steps_survive_the_construction_of_the_policy():
    """SB3's orthogonal initialisation would set every bias to zero, Mamba's time step to 0.69."""
    model = RecurrentPPO("MambaPolicy", "Pendulum-v1", n_steps=64, batch_size=64, device="cpu")
    mamba = model.policy.encoder.backbone.blocks[0].mixer
    dt = torch.nn.functional.softplus(mamba.dt_proj.bias)
    assert 0.99e-2 < dt.min() < 0.05
    assert 0.5 < dt.max() < 1.01


def test_dict_observations_train():
    class Pair(Clock):
        observation_space = spaces.Dict({"a": Clock.observation_space, "b": spaces.Discrete(3)})

        def _observe(self):
            return {"a": super()._observe(), "b": self.t % 3}

    model = RecurrentPPO(
        "JambaPolicy", DummyVecEnv([Pair]), n_steps=16, batch_size=8, n_epochs=1, policy_kwargs=SMALL, device="cpu"
    )
    model.learn(32)
    mean, _ = evaluate_policy(model, model.get_env(), n_eval_episodes=2, warn=False)
    assert mean == 5.0


def test_sb3s_evaluation_passes_the_memory_on():
    model = clock_model()
    mean, std = evaluate_policy(model, model.get_env(), n_eval_episodes=4, warn=False)
    assert mean == 5.5
    assert std == 0.5


@pytest.mark.parametrize("schedule", [1e-3, lambda remaining: remaining * 1e-3])
def test_a_warm_up_composes_with_any_schedule_and_survives_files(schedule, tmp_path):
    def expected(done):
        rate = schedule if isinstance(schedule, float) else schedule(1 - done)
        return pytest.approx(rate * min(done / 0.5, 1.0))

    seen = []

    class Watch(BaseCallback):
        def _on_rollout_start(self):
            log = self.model.logger.name_to_value
            if "train/learning_rate" in log:
                seen.append((log["train/learning_rate"], self.model.policy.optimizer.param_groups[0]["lr"]))

        def _on_step(self):
            return True

    model = clock_model(learning_rate=schedule, warm_up=0.5)
    model.learn(128, callback=Watch(), log_interval=100)  # 4 updates
    model.save(tmp_path / "model")
    assert seen == [(expected(done / 4), expected(done / 4)) for done in (1, 2, 3)]
    loaded = RecurrentPPO.load(tmp_path / "model", env=model.get_env(), device="cpu")
    assert loaded.warm_up == 0.5
    seen.clear()
    # 4 of 12 updates are done: the rise belongs to the whole of training, not to every call
    loaded.learn(256, callback=Watch(), log_interval=100, reset_num_timesteps=False)
    assert seen == [(expected(done / 12),) * 2 for done in range(5, 12)]


class Echo(gym.Env):
    """Repeat the bit that was shown ``lag`` steps ago: impossible without memory (expected reward 0.5)."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.bits = [int(self.np_random.integers(2)) for _ in range(3)]
        return np.array([self.bits[-1] * 2 - 1], np.float32), {}

    def step(self, action):
        reward = float(action == self.bits[-3])
        self.bits.append(int(self.np_random.integers(2)))
        return np.array([self.bits[-1] * 2 - 1], np.float32), reward, len(self.bits) >= 23, False, {}


@pytest.mark.parametrize(("policy", "low", "high"), [("JambaPolicy", 0.9, 1.0), ("MlpPolicy", 0.4, 0.6)])
def test_memory_learns_what_no_memory_cannot(policy, low, high):
    venv = DummyVecEnv([Echo] * 8)
    venv.seed(0)
    model = RecurrentPPO(
        policy, venv, learning_rate=2e-3, n_steps=40, batch_size=160, n_epochs=4, gamma=0.2, seed=0, device="cpu"
    )
    model.learn(16_000)
    mean, _ = evaluate_policy(model, venv, n_eval_episodes=40, deterministic=False, warn=False)
    assert low <= mean / 20 <= high
