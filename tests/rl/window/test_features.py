"""JambaFeaturesExtractor: what it remembers, how it begins, what it is trained by."""

from __future__ import annotations

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from gymnasium import spaces
from sb3_contrib import TQC
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from torch import nn

from jamba_rl.nn.mamba import Mamba
from jamba_rl.rl import HistoryWrapper, JambaFeaturesExtractor
from jamba_rl.rl.window.history import HistoryForm

NETWORK = {"d_model": 16, "pattern": "MA", "window": 8, "num_heads": 2}
EXPERTS = NETWORK | {"ffn_pattern": "-E", "num_experts": 4, "top_k": 2}
EXTRACTOR = {
    "features_extractor_class": JambaFeaturesExtractor,
    "features_extractor_kwargs": {"network": NETWORK},
    "net_arch": [8],
}


def space(length: int, size: int = 2) -> spaces.Dict:
    box = spaces.Box(-np.inf, np.inf, (size,), np.float32)
    return HistoryForm(box, spaces.Box(-1, 1, (1,), np.float32), length).space


def histories(ages: list[int], length: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random histories of episodes of these ages, as SB3 hands them to an extractor."""
    generator = torch.Generator().manual_seed(seed)
    valid = torch.arange(length).flip(0) < torch.tensor(ages)[:, None]
    parts = {"history": 2, "actions": 1}
    rows = {key: torch.randn(len(ages), length, n, generator=generator) * valid[..., None] for key, n in parts.items()}
    return rows | {"valid": valid.float()}


def extractor(length: int = 8, network: dict | None = None) -> JambaFeaturesExtractor:
    torch.manual_seed(0)
    # a large scale, so that what is remembered shows
    return JambaFeaturesExtractor(space(length), (network or NETWORK) | {"branch_scale": 1.0})


@pytest.mark.parametrize("pattern", ["M", "A", "L", "S", "MA"])
def test_features_are_the_memory_of_the_episode_and_the_present(pattern: str) -> None:
    net = extractor(network=NETWORK | {"pattern": pattern})
    seen = histories([3, 8, 1], 8)
    features = net(seen)
    assert features.shape == (3, net.features_dim) == (3, 16 + 2)
    assert torch.equal(features[:, -2:], seen["history"][:, -1])
    for i, age in enumerate([3, 8, 1]):
        state = net.backbone.initial_state(1)
        for t in range(8 - age, 8):  # one step after the other, with nothing before
            x = torch.cat([seen["history"][i : i + 1, t], seen["actions"][i : i + 1, t]], -1)
            out = net.backbone.step(net.embed(x), state)
            state = out.state
        torch.testing.assert_close(features[i, :-2], out.hidden[0], rtol=1e-4, atol=1e-5)


def test_what_was_before_the_episode_does_not_matter() -> None:
    net, seen = extractor(), histories([3, 1], 8)
    dirty = {key: torch.where(seen["valid"][..., None] > 0, part, 7.0) for key, part in seen.items() if key != "valid"}
    assert torch.equal(net(seen), net(dirty | {"valid": seen["valid"]}))


def test_what_was_long_ago_matters() -> None:
    net, seen = extractor(), histories([8], 8)
    for key in ("history", "actions"):
        changed = {name: part.clone() for name, part in seen.items()}
        changed[key][:, 0] += 1
        assert (net(changed) - net(seen)).abs().max() > 1e-4


def test_it_learns_to_say_what_it_saw_five_steps_ago() -> None:
    torch.manual_seed(0)
    net = JambaFeaturesExtractor(space(8, 1), NETWORK)
    head = nn.Linear(net.features_dim, 1)
    optimizer = torch.optim.Adam([*net.parameters(), *head.parameters()], lr=1e-2)
    for _ in range(150):
        bits = torch.randint(0, 2, (64, 8, 1)).float()
        seen = {"history": bits, "actions": torch.zeros(64, 8, 1), "valid": torch.ones(64, 8)}
        loss = F.binary_cross_entropy_with_logits(head(net(seen)), bits[:, -6])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1  # 0.69 without a memory


def env(name: str) -> gym.Env:
    return HistoryWrapper(gym.make(name), 8)


MAKERS = {
    "ppo": lambda **kwargs: PPO("MultiInputPolicy", env("CartPole-v1"), **kwargs),
    "a2c": lambda **kwargs: A2C("MultiInputPolicy", env("CartPole-v1"), **kwargs),
    "dqn": lambda **kwargs: DQN("MultiInputPolicy", env("CartPole-v1"), buffer_size=100, **kwargs),
    "sac": lambda **kwargs: SAC("MultiInputPolicy", env("Pendulum-v1"), buffer_size=100, **kwargs),
    "td3": lambda **kwargs: TD3("MultiInputPolicy", env("Pendulum-v1"), buffer_size=100, **kwargs),
    "tqc": lambda **kwargs: TQC("MultiInputPolicy", env("Pendulum-v1"), buffer_size=100, **kwargs),
}


@pytest.mark.parametrize("algorithm", MAKERS)
@pytest.mark.parametrize("shared", [False, True])
def test_a_memory_lasts_as_long_as_it_should_in_every_built_policy(algorithm: str, shared: bool) -> None:
    sharing = {} if algorithm == "dqn" else {"share_features_extractor": shared}
    model = MAKERS[algorithm](policy_kwargs=EXTRACTOR | sharing, device="cpu")
    layers = [module for module in model.policy.modules() if isinstance(module, Mamba)]
    assert layers
    for layer in layers:
        dt = F.softplus(layer.dt_proj.bias)
        assert dt.min() >= 0.99e-2
        assert dt.max() <= 1.01
        assert dt.max() > 5 * dt.min()


def test_heads_are_still_initialised_orthogonally() -> None:
    policy = MAKERS["ppo"](policy_kwargs=EXTRACTOR | {"net_arch": {"pi": [18], "vf": [18]}}, device="cpu").policy
    for head in (policy.mlp_extractor.policy_net[0], policy.mlp_extractor.value_net[0]):
        product = head.weight @ head.weight.T
        torch.testing.assert_close(product, 2 * torch.eye(18), atol=1e-4, rtol=1e-4)
        assert (head.bias == 0).all()


def test_any_other_function_is_applied_everywhere() -> None:
    visited = []
    net = extractor()
    assert net.apply(visited.append) is net
    assert set(visited) == set(net.modules())

    def blank(module: nn.Module, to: float) -> None:
        if isinstance(module, nn.Linear):
            nn.init.constant_(module.weight, to)

    net.apply(partial(blank, to=0.5))
    assert (net.embed.weight == 0.5).all()


@pytest.mark.parametrize("make", [partial(PPO, "JambaPolicy"), partial(SAC, "JambaPolicy"), "extractor"])
def test_without_a_history_it_says_what_to_add(make) -> None:
    if make == "extractor":
        make = partial(TD3, "MlpPolicy", policy_kwargs=dict(EXTRACTOR))
    with pytest.raises(ValueError, match=r"no memory.*HistoryWrapper\(env, 32\).*VecHistory\(venv, 32\)"):
        make(env="Pendulum-v1")


def test_expert_losses_reach_whoever_trains_the_features() -> None:
    net, seen = extractor(network=EXPERTS), histories([3, 8, 1], 8)
    router = net.backbone.blocks[1].ffn.router.weight

    def gradient(of: torch.Tensor) -> torch.Tensor:
        net.zero_grad()
        of.backward()
        return router.grad.clone()

    net.train(False)
    plain = gradient(net(seen).sum())
    net.train()
    trained = gradient(net(seen).sum())
    valid = seen["valid"].bool()
    x = torch.cat([seen["history"], seen["actions"]], -1)
    out = net.backbone(net.embed(x), reset=valid & ~F.pad(valid[:, :-1], (1, 0)))
    loss = out.routing.loss(valid)  # of the steps there were
    expected = gradient(loss)
    torch.testing.assert_close(trained - plain, expected, rtol=1e-3, atol=1e-6)
    assert expected.abs().max() > 1e-4
    assert torch.equal(net(seen), net.train(False)(seen))
    with torch.no_grad():
        assert not net.train()(seen).requires_grad


def test_experts_that_sb3_would_not_balance_are_refused() -> None:
    with pytest.raises(ValueError, match="'switch'"):
        extractor(network=EXPERTS | {"balance": "bias"})
    extractor(network=NETWORK | {"balance": "bias"})  # there are none
