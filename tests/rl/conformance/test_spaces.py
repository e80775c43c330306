"""Every space that SB3's PPO takes, ours takes."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import BitFlippingEnv, FakeImageEnv, SimpleMultiObsEnv
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack, VecNormalize

from tests.rl.clock import OURS
from tests.rl.conformance.tiny import act, tiny
from tests.rl.noise import REAL, Noise

SMALL_CNN = {"features_extractor_kwargs": {"cnn_output_dim": 8}}


def train_and_evaluate(policy, env, policy_kwargs=None) -> None:
    model = tiny(policy, env, policy_kwargs).learn(64)
    evaluate_policy(model, model.get_env(), n_eval_episodes=2, warn=False)


@pytest.mark.parametrize("policy", OURS)
@pytest.mark.parametrize(
    "space",
    [spaces.Discrete(3), spaces.MultiDiscrete([4, 3]), spaces.MultiBinary(8), spaces.MultiBinary((3, 2)),
     spaces.Box(-1, 1, (2, 3), np.float64)],
)  # fmt: skip
def test_observations(policy, space):
    train_and_evaluate(policy, DummyVecEnv([lambda: Noise(space)] * 2))


@pytest.mark.parametrize("policy", OURS)
@pytest.mark.parametrize(
    "space",
    [spaces.Box(-1, 1, (2, 2), np.float32), spaces.Box(np.float64([0, -3]), np.float64([1, 5]), dtype=np.float64),
     spaces.Discrete(3), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(3)],
)  # fmt: skip
def test_actions(policy, space):
    train_and_evaluate(policy, DummyVecEnv([lambda: Noise(actions=space)] * 2))


@pytest.mark.parametrize("policy", ["CnnPolicy", "CnnLstmPolicy", "JambaPolicy", "MlpPolicy"])
@pytest.mark.parametrize("channels_first", [True, False])
def test_images(policy, channels_first):
    env = FakeImageEnv(screen_height=36, screen_width=36, n_channels=1, channel_first=channels_first)
    train_and_evaluate(policy, env, {"features_extractor_kwargs": {"features_dim": 8}})


@pytest.mark.parametrize(("normalize_images", "extractor"), [(True, "FlattenExtractor"), (False, "NatureCNN")])
def test_images_that_are_normalised_already(normalize_images, extractor):
    make = partial(FakeImageEnv, screen_height=36, screen_width=36, n_channels=1, channel_first=True)
    venv = VecNormalize(DummyVecEnv([make]))
    model = tiny("CnnPolicy", venv, policy_kwargs={"normalize_images": normalize_images}).learn(32)
    assert type(model.policy.features_extractor).__name__ == extractor


# --- dicts


def mixed(channels_first=True):
    image = (1, 36, 36) if channels_first else (36, 36, 1)
    parts = {"image": spaces.Box(0, 255, image, np.uint8), "vector": REAL, "choice": spaces.Discrete(4)}
    return Noise(spaces.Dict(parts))


@pytest.mark.parametrize("policy", ["MultiInputPolicy", "MultiInputLstmPolicy"])
@pytest.mark.parametrize("channels_first", [True, False])
def test_dicts(policy, channels_first):
    train_and_evaluate(policy, mixed(channels_first), SMALL_CNN)


@pytest.mark.parametrize("policy", ["JambaPolicy", "SSMPolicy", "GruPolicy"])
def test_dicts_need_no_policy_of_their_own(policy):
    train_and_evaluate(policy, Noise(spaces.Dict({"vector": REAL, "bits": spaces.MultiBinary(2)})))


def test_a_dict_of_one_vector_is_as_good_as_the_vector():
    env = Noise(spaces.Dict({"vec": REAL}))
    flat = gym.wrappers.FlattenObservation(Noise(spaces.Dict({"vec": REAL})))
    observation = REAL.sample()
    whole = tiny("MultiInputPolicy", env).learn(64)
    plain = tiny("JambaPolicy", flat).learn(64)
    np.testing.assert_allclose(act(whole, {"vec": observation}), act(plain, observation), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["MlpPolicy", "CnnPolicy"])
def test_sb3s_names_for_other_observations_are_refused_for_dicts(policy):
    with pytest.raises(ValueError, match="You must use `MultiInputPolicy`"):
        tiny(policy, BitFlippingEnv(n_bits=4))


def test_goals():
    train_and_evaluate("MultiInputPolicy", BitFlippingEnv(n_bits=4))


def test_nested_dicts_are_refused():
    with pytest.raises(NotImplementedError, match="Nested"):
        tiny("MultiInputPolicy", Noise(spaces.Dict({"a": spaces.Dict({"b": REAL})})))


def test_dicts_from_other_processes():
    venv = make_vec_env(Noise, 2, env_kwargs={"observations": spaces.Dict({"v": REAL})}, vec_env_cls=SubprocVecEnv)
    tiny("MultiInputPolicy", venv).learn(64)
    venv.close()


def test_stacked_dicts():
    venv = DummyVecEnv([lambda: SimpleMultiObsEnv(random_start=True, discrete_actions=True, channel_last=False)])
    venv = VecFrameStack(venv, n_stack=3, channels_order={"vec": None, "img": "first"})
    tiny("MultiInputPolicy", venv, SMALL_CNN).learn(32)


def test_normalised_dicts():
    venv = VecNormalize(DummyVecEnv([mixed] * 2), norm_obs_keys=["vector"])
    train_and_evaluate("MultiInputPolicy", venv, SMALL_CNN)
    assert venv.obs_rms["vector"].count > 60
