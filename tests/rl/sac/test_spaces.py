"""Every space that SB3's SAC takes, ours takes."""

from functools import partial

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.envs import FakeImageEnv
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack, VecNormalize
from torch import nn

from jamba_rl.rl import RecurrentSAC
from jamba_rl.rl.sac.policies import POLICIES
from tests.rl.clock import OURS, Clock
from tests.rl.conformance.tiny import act
from tests.rl.noise import REAL, Noise
from tests.rl.sac.tiny import clocks, tiny

CNN = {"features_extractor_kwargs": {"features_dim": 8}}
SMALL_CNN = {"features_extractor_kwargs": {"cnn_output_dim": 8}}


def train_and_evaluate(policy, env, policy_kwargs=None, **kwargs) -> RecurrentSAC:
    model = tiny(policy, env, policy_kwargs, **kwargs).learn(48)
    assert model._n_updates > 0
    evaluate_policy(model, model.get_env(), n_eval_episodes=2, warn=False)
    return model


@pytest.mark.parametrize("policy", OURS)
@pytest.mark.parametrize(
    "space",
    [spaces.Discrete(3), spaces.MultiDiscrete([4, 3]), spaces.MultiBinary(8), spaces.MultiBinary((3, 2)),
     spaces.Box(-1, 1, (2, 3), np.float64)],
)  # fmt: skip
def test_observations(policy, space):
    train_and_evaluate(policy, DummyVecEnv([lambda: Noise(space)] * 2))


@pytest.mark.parametrize("policy", ["JambaPolicy", "GruPolicy"])
@pytest.mark.parametrize("stored_state", [False, True])
@pytest.mark.parametrize(
    "space",
    [spaces.Box(-1, 1, (2, 2), np.float32), spaces.Box(np.float64([0, -3]), np.float64([1, 5]), dtype=np.float64),
     spaces.Box(-1, 1, (1,), np.float64)],
)  # fmt: skip
def test_actions(policy, space, stored_state):
    model = train_and_evaluate(policy, DummyVecEnv([lambda: Noise(actions=space)] * 2), stored_state=stored_state)
    assert model.target_entropy == -float(np.prod(space.shape))


@pytest.mark.parametrize("space", [spaces.Discrete(2), spaces.MultiBinary(3), spaces.MultiDiscrete([2, 3])])
def test_actions_that_are_no_box_are_refused_as_by_sb3(space):
    with pytest.raises(AssertionError, match="only supports"):
        tiny("JambaPolicy", Noise(actions=space))


def test_an_unbounded_action_space_is_refused_as_by_sb3():
    with pytest.raises(AssertionError, match="finite lower and upper bound"):
        tiny("JambaPolicy", clocks(action_space=spaces.Box(-np.inf, np.inf, (1,))))


def test_names_are_those_of_ppo_and_of_sb3():
    assert set(OURS) < POLICIES.keys() == RecurrentSAC.policy_aliases.keys()
    assert {"MlpPolicy", "CnnPolicy", "MultiInputPolicy", "MlpLstmPolicy"} < POLICIES.keys()
    for name, kind in POLICIES.items():
        if "Multi" not in name:
            assert type(tiny(name, clocks()).policy) is kind
    by_class = RecurrentSAC(POLICIES["GruPolicy"], clocks(), buffer_size=500, device="cpu")
    assert type(by_class.policy) is POLICIES["GruPolicy"]


@pytest.mark.parametrize("policy", ["CnnPolicy", "CnnLstmPolicy", "JambaPolicy", "MlpPolicy"])
@pytest.mark.parametrize("channels_first", [True, False])
def test_images(policy, channels_first):
    env = FakeImageEnv(36, 36, 36, n_channels=1, discrete=False, channel_first=channels_first)
    model = train_and_evaluate(policy, env, CNN)
    assert type(model.critic.features_extractor).__name__ == "NatureCNN"
    assert model.replay_buffer.frames[""].dtype == np.uint8
    assert model.replay_buffer.frames[""].shape[2:] == (1, 36, 36)
    image = env.observation_space.sample()
    turned = image if channels_first else np.transpose(image, (2, 0, 1))
    assert np.array_equal(act(model, image), act(model, turned))


@pytest.mark.parametrize(("normalize_images", "extractor"), [(True, "FlattenExtractor"), (False, "NatureCNN")])
def test_images_that_are_normalised_already(normalize_images, extractor):
    make = partial(FakeImageEnv, screen_height=36, screen_width=36, n_channels=1, discrete=False, channel_first=True)
    model = tiny("CnnPolicy", VecNormalize(DummyVecEnv([make])), {"normalize_images": normalize_images}).learn(32)
    assert type(model.actor.features_extractor).__name__ == extractor


# --- dicts


def mixed(channels_first=True):
    image = (1, 36, 36) if channels_first else (36, 36, 1)
    parts = {"image": spaces.Box(0, 255, image, np.uint8), "vector": REAL, "choice": spaces.Discrete(4)}
    return Noise(spaces.Dict(parts))


@pytest.mark.parametrize("policy", ["MultiInputPolicy", "MultiInputLstmPolicy"])
@pytest.mark.parametrize("channels_first", [True, False])
def test_dicts(policy, channels_first):
    train_and_evaluate(policy, mixed(channels_first), SMALL_CNN, stored_state=channels_first)


@pytest.mark.parametrize("policy", ["JambaPolicy", "SSMPolicy", "GruPolicy"])
def test_dicts_need_no_policy_of_their_own(policy):
    env = Noise(spaces.Dict({"vector": REAL, "bits": spaces.MultiBinary(2)}))
    train_and_evaluate(policy, env, n_steps=3)  # SB3 has no returns of several steps for dicts


def test_a_dict_of_one_vector_is_as_good_as_the_vector():
    observation = np.float32([0.5, -0.5])
    whole = tiny("MultiInputPolicy", Noise(spaces.Dict({"vec": REAL}))).learn(48)
    plain = tiny("JambaPolicy", Noise()).learn(48)
    assert whole.replay_buffer.actions.shape == plain.replay_buffer.actions.shape
    whole.policy.load_state_dict(plain.policy.state_dict(), strict=False)
    np.testing.assert_allclose(act(whole, {"vec": observation}), act(plain, observation), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["MlpPolicy", "CnnPolicy"])
def test_sb3s_names_for_other_observations_are_refused_for_dicts(policy):
    with pytest.raises(ValueError, match="You must use `MultiInputPolicy`"):
        tiny(policy, mixed())


def test_nested_dicts_are_refused():
    with pytest.raises(NotImplementedError, match="Nested"):
        tiny("MultiInputPolicy", Noise(spaces.Dict({"a": spaces.Dict({"b": REAL})})))


def test_other_processes():
    venv = SubprocVecEnv([partial(Noise, spaces.Dict({"v": REAL}))] * 2)
    try:
        train_and_evaluate("MultiInputPolicy", venv)
    finally:
        venv.close()


def test_stacked_frames():
    train_and_evaluate("JambaPolicy", VecFrameStack(clocks(), 3))


# --- normalisation and features


@pytest.mark.parametrize("keys", [None, ["vector"]])
def test_the_replay_holds_what_is_not_normalised(keys):
    venv = VecNormalize(DummyVecEnv([mixed] * 2) if keys else clocks(), norm_obs_keys=keys)
    model = train_and_evaluate("MultiInputPolicy" if keys else "JambaPolicy", venv, SMALL_CNN if keys else None)
    if keys:
        assert venv.obs_rms["vector"].count > 40
        assert np.unique(model.replay_buffer.frames["image"]).size > 100
        return
    tape = model.replay_buffer
    assert set(tape.frames[""][0, : tape.heads[0], 0].tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}
    assert set(tape.rewards[0, : tape.heads[0]].tolist()) == {0.0, 1.0}  # none where an episode ends
    assert tape.begins[0, : tape.heads[0]].sum() == tape.heads[0] // 6 + (tape.heads[0] % 6 > 0)
    seen = model.replay_buffer.sample(16, venv).observations.observations
    assert float(seen.abs().max()) < 4.0


class Twice(BaseFeaturesExtractor):
    def __init__(self, space, size=3):
        super().__init__(space, size)
        self.layer = nn.Linear(2, size)

    def forward(self, observations):
        return self.layer(2.0 * observations)


@pytest.mark.parametrize("shared", [False, True])
def test_an_extractor_of_ones_own_learns_with_its_memory(shared):
    options = {"features_extractor_class": Twice, "features_extractor_kwargs": {"size": 5}, "shared_encoder": shared}
    model = tiny("JambaPolicy", clocks(), options)
    parts = [model.actor.features_extractor, model.critic.features_extractor, model.critic_target.features_extractor]
    assert (parts[0] is parts[1]) is shared
    assert parts[1] is not parts[2]
    before = [part.layer.weight.detach().clone() for part in parts]
    model.learn(48)
    assert not any(torch.equal(old, part.layer.weight) for old, part in zip(before, parts, strict=True))


def test_a_clock_of_another_type_is_stored_as_it_is():
    class Exact(Clock):
        observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)

        def _observe(self):
            return super()._observe().astype(np.float64) + 1e-12

    model = train_and_evaluate("GruPolicy", DummyVecEnv([Exact]))
    assert model.replay_buffer.frames[""].dtype == np.float64
    assert model.replay_buffer.begins[0, :12].tolist() == [True, *[False] * 5] * 2
