"""Training and evaluation modes: batch norm and dropout work in updates, and only there."""

import numpy as np
import pytest
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.preprocessing import get_flattened_obs_dim
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from tests.rl.clock import OURS, Clock, collect
from tests.rl.conformance.tiny import NETWORKS, act, tiny


class Statistics(BaseFeaturesExtractor):
    """Batch norm, which keeps statistics, then dropout, which is random."""

    def __init__(self, observation_space):
        super().__init__(observation_space, get_flattened_obs_dim(observation_space))
        self.layers = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(self.features_dim), nn.Dropout(0.5))

    def forward(self, observations):
        return self.layers(observations)


def statistical(policy):
    network = NETWORKS[policy] | {"d_model": 8, "dropout": 0.5}
    return tiny(policy, make_vec_env(Clock, n_envs=2), {"features_extractor_class": Statistics, "network": network})


def buffers(model) -> dict[str, torch.Tensor]:
    found = {name: buffer.clone() for name, buffer in model.policy.named_buffers()}
    assert any("running_mean" in name for name in found)
    return found


def moved(before, model) -> set[str]:
    return {name for name, buffer in model.policy.named_buffers() if not torch.equal(buffer, before[name])}


@pytest.mark.parametrize("policy", OURS)
def test_predict_is_no_training(policy):
    model = statistical(policy)
    model.policy.set_training_mode(True)
    before = buffers(model)
    observations = np.ones((2, 2), np.float32)
    assert np.array_equal(act(model, observations), act(model, observations))
    assert not model.policy.training
    assert moved(before, model) == set()


@pytest.mark.parametrize("policy", OURS)
def test_a_rollout_is_no_training(policy):
    model = statistical(policy)
    before = buffers(model)
    collect(model, rollouts=2)
    assert not model.policy.training
    assert moved(before, model) == set()


@pytest.mark.parametrize("policy", OURS)
def test_an_update_is_training(policy):
    model = statistical(policy)
    before, bias = buffers(model), model.policy.features_extractor.layers[1].bias.detach().clone()
    model.learn(64)
    assert {name.rpartition(".")[2] for name in moved(before, model)} >= {"running_mean", "running_var"}
    assert not torch.equal(bias, model.policy.features_extractor.layers[1].bias)
