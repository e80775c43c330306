"""What sees images."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.envs import FakeImageEnv
from stable_baselines3.common.torch_layers import CombinedExtractor, FlattenExtractor, NatureCNN

from jamba_rl.rl import RecurrentPPO, RecurrentSAC
from jamba_rl.rl.extractors import CombinedSpatialExtractor, SpatialExtractor, default_extractor
from tests.rl.conformance.tiny import act
from tests.rl.conformance.tiny import tiny as tiny_ppo
from tests.rl.noise import REAL, Noise
from tests.rl.sac.tiny import tiny as tiny_sac

MAKERS = {"ppo": tiny_ppo, "sac": tiny_sac}


def image(size: int, channels: int = 1) -> spaces.Box:
    return spaces.Box(0, 255, (channels, size, size), np.uint8)


def seen(model: RecurrentPPO | RecurrentSAC) -> torch.nn.Module:
    return (model.critic if isinstance(model, RecurrentSAC) else model.policy).features_extractor


@pytest.mark.parametrize(
    ("space", "encoder", "expected"),
    [
        (image(36), None, NatureCNN),
        (image(35), None, SpatialExtractor),
        (image(84), "spatial", SpatialExtractor),
        (image(36), "nature", NatureCNN),
        (spaces.Dict({"a": image(36), "b": REAL}), None, CombinedExtractor),
        (spaces.Dict({"a": image(36), "b": image(20)}), None, CombinedSpatialExtractor),
        (spaces.Dict({"a": image(36), "b": REAL}), "spatial", CombinedSpatialExtractor),
        (REAL, "spatial", FlattenExtractor),  # an agent's choice, where there is nothing to see
        (spaces.Dict({"a": REAL}), "nature", CombinedExtractor),
    ],
)
def test_the_encoder_is_the_one_asked_for_or_what_suits_the_images(space, encoder, expected):
    assert default_extractor(space, image_encoder=encoder) is expected


@pytest.mark.parametrize("algorithm", MAKERS)
@pytest.mark.parametrize("channels_first", [True, False])
def test_agents_see_small_images_and_learn_to(algorithm, channels_first):
    env = FakeImageEnv(6, 12, 16, n_channels=1, discrete=False, channel_first=channels_first)
    model = MAKERS[algorithm]("CnnPolicy", env)
    assert type(seen(model)) is SpatialExtractor
    before = {name: value.clone() for name, value in seen(model).state_dict().items()}
    model.learn(64)
    assert all(not torch.equal(before[name], value) for name, value in seen(model).state_dict().items())
    observation = env.observation_space.sample()
    turned = observation if channels_first else np.transpose(observation, (2, 0, 1))
    assert np.array_equal(act(model, observation), act(model, turned))


@pytest.mark.parametrize("algorithm", MAKERS)
def test_agents_see_dicts_with_small_images(algorithm):
    env = Noise(spaces.Dict({"image": image(8, channels=2), "vector": REAL}))
    model = MAKERS[algorithm]("MultiInputPolicy", env, {"features_extractor_kwargs": {"features_dim": 5}}).learn(48)
    assert seen(model).features_dim == 5 + 2


@pytest.mark.parametrize("algorithm", MAKERS)
def test_a_saved_agent_sees_the_same(algorithm, tmp_path):
    env = FakeImageEnv(6, 40, 40, n_channels=1, discrete=False, channel_first=True)
    options = {"image_encoder": "spatial", "features_extractor_kwargs": {"hidden_dim": 2, "features_dim": 4}}
    model = MAKERS[algorithm]("CnnPolicy", env, options)
    model.save(tmp_path / "model")
    model.policy.save(tmp_path / "policy")
    again, policy = type(model).load(tmp_path / "model"), type(model.policy).load(tmp_path / "policy")
    observation = env.observation_space.sample()
    for other in (again, policy):
        assert np.array_equal(act(other, observation), act(model, observation))
    assert seen(again).linear.in_features == 8 * 10 * 10


def test_where_things_are_is_seen():
    """The mean over the map, which classifiers read, hardly tells."""
    torch.manual_seed(0)
    extractor = SpatialExtractor(image(40))
    left = torch.zeros(1, 1, 40, 40)
    left[..., 18:22, 16:20] = 1.0
    right = left.roll(4, -1)
    torch.testing.assert_close(extractor.encoder(left), extractor.encoder(right))
    assert (extractor(left) - extractor(right)).abs().max() > 0.01


@pytest.mark.parametrize("algorithm", MAKERS)
@pytest.mark.parametrize(
    ("size", "options", "said"),
    [
        (40, {"image_encoder": "spatal"}, "'spatal' is unknown; did you mean 'spatial'"),
        (20, {"image_encoder": "nature"}, "'nature' needs images of 36 x 36 pixels at least, not 20"),
        (40, {"image_encoder": "spatial", "features_extractor_class": NatureCNN}, "not both"),
        (40, {"image_encoder": "spatial", "features_extractor_kwargs": {"hidden_dim": 0}}, "hidden_dim must be"),
    ],
)
def test_what_does_not_fit_is_refused(algorithm, size, options, said):
    env = FakeImageEnv(6, size, size, n_channels=1, discrete=False, channel_first=True)
    with pytest.raises(ValueError, match=said):
        MAKERS[algorithm]("CnnPolicy", env, options)
    with pytest.raises(ValueError, match="reads images"):
        SpatialExtractor(REAL)
