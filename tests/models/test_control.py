"""Networks of agents without Stable-Baselines3."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from jamba_rl.models import JambaRLActorCritic, JambaRLPolicy, JambaRLValue

SMALL = {"hidden_dim": 16, "num_layers": 4, "num_heads": 2}
SPACE = gym.spaces.Box(np.float32([-2, 0]), np.float32([2, 10]))


def networks():
    torch.manual_seed(0)
    return {
        "policy": JambaRLPolicy(3, 2, **SMALL, action_space=SPACE),
        "value": JambaRLValue(3, **SMALL),
        "both": JambaRLActorCritic(3, 2, **SMALL, action_space=SPACE),
    }


@pytest.mark.parametrize("name", ["policy", "value", "both"])
@torch.no_grad()
def test_step_after_step_is_the_sequence_with_episodes_inside(name):
    network, obs = networks()[name], torch.randn(2, 9, 3)
    reset = torch.zeros(2, 9, dtype=torch.bool)
    reset[1, 4] = True
    *whole, end = network(obs, None, reset)
    state = network.get_initial_state(2)
    steps = []
    for t in range(9):
        *out, state = network(obs[:, t], state, reset[:, t])
        steps.append(out)
    for i, expected in enumerate(whole):
        torch.testing.assert_close(torch.stack([step[i] for step in steps], 1), expected, rtol=1e-4, atol=1e-5)
    alone = network(obs[1:, 4:])[0]
    torch.testing.assert_close(whole[0][1:, 4:], alone, rtol=1e-4, atol=1e-5)
    assert [part.shape for part in end] == [part.shape for part in state]


def test_it_remembers():
    """What the seed's, which saw one step at a time with nothing kept, could not."""
    policy = JambaRLPolicy(3, 1, **SMALL)
    now = torch.zeros(1, 3)
    actions = [policy(now, policy(before)[1])[0] for before in (torch.ones(1, 3), -torch.ones(1, 3))]
    assert not torch.equal(*actions)


def test_gradient_reaches_every_parameter_and_what_came_before():
    for network in networks().values():
        obs = torch.randn(2, 5, 3, requires_grad=True)
        if isinstance(network, JambaRLActorCritic):
            out = network.judge(obs)
            loss = out.distribution.log_prob(torch.zeros(2, 5, 2))[:, -1].sum() + out.values[:, -1].sum()
        elif isinstance(network, JambaRLPolicy):
            loss = network.distribution(obs)[0].log_prob(torch.zeros(2, 5, 2))[:, -1].sum()
        else:
            loss = network(obs)[0][:, -1].sum()
        loss.backward()
        assert obs.grad[:, 0].abs().sum() > 0
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            # Lags beyond the sequence have not been met.
            assert parameter.grad.abs().sum() > 0, name


def test_actions_are_scaled_to_the_space_and_stay_inside():
    policy = networks()["policy"]
    chosen = policy.act(torch.randn(500, 3))
    low, high = torch.as_tensor(SPACE.low), torch.as_tensor(SPACE.high)
    assert bool(((chosen.action >= low) & (chosen.action <= high)).all())
    torch.testing.assert_close(chosen.action, low + (chosen.raw.clamp(-1, 1) + 1) / 2 * (high - low))
    assert chosen.action.std(0).min() > 0.3
    assert SPACE.contains(chosen.action[0].numpy())


def test_deterministic_actions_are_those_of_the_forward_pass():
    obs = torch.randn(4, 3)
    for name in ("policy", "both"):
        network = networks()[name]
        expected = network(obs)[0]
        torch.testing.assert_close(network.act(obs, deterministic=True).action, expected)
        assert not torch.equal(network.act(obs).action, network.act(obs).action)


def test_log_densities_and_entropy_are_those_of_the_normal_distribution():
    policy = JambaRLPolicy(3, 2, **SMALL, log_std=0.5)
    obs = torch.randn(4, 3)
    chosen, (distribution, _) = policy.act(obs), policy.distribution(obs)
    normal = torch.distributions.Independent(torch.distributions.Normal(distribution.mean, torch.tensor(0.5).exp()), 1)
    torch.testing.assert_close(distribution.log_prob(chosen.raw), normal.log_prob(chosen.raw))
    torch.testing.assert_close(chosen.log_prob, normal.log_prob(chosen.raw))
    torch.testing.assert_close(distribution.entropy(), normal.entropy())


def test_actor_critic_says_the_same_in_all_its_forms():
    both, obs = networks()["both"], torch.randn(4, 3)
    actions, values, _ = both(obs)
    assert both(obs, return_value=False)[1] is None
    torch.testing.assert_close(both.get_action(obs)[0], actions)
    torch.testing.assert_close(both.get_value(obs)[0], values)
    judged = both.judge(obs)
    torch.testing.assert_close(judged.values, values)
    torch.testing.assert_close(both.scale(judged.distribution.mean), actions)
    assert values.shape == (4, 1)


def test_construction_leaves_mambas_time_steps_alone():
    for network in networks().values():
        for block in network.jamba.blocks[:3]:
            dt = torch.nn.functional.softplus(block.mixer.dt_proj.bias)
            assert 0.9e-3 <= dt.min() <= dt.max() <= 0.11


@pytest.mark.parametrize(
    ("observations", "actions", "counted"),
    [(3, 1, 1_219_969), (11, 3, 1_221_251), (17, 6, 1_222_406)],
)
def test_sizes_are_those_of_the_seeds_code(observations, actions, counted):
    """Which its documents give as 600,000; ours learns a standard deviation per action on top."""
    policy = JambaRLPolicy(observations, actions)
    assert sum(p.numel() for p in policy.parameters()) == counted + actions


def test_experts_can_be_asked_for():
    network = JambaRLActorCritic(3, 1, **SMALL, moe_frequency=2, num_experts=3)
    assert network.jamba.config.ffn_pattern == "DEDE"
    assert network.judge(torch.randn(2, 5, 3)).routing.loss() > 0


def test_memory_does_not_grow():
    network = JambaRLPolicy(3, 1, **SMALL, window=4)
    state = network.get_initial_state(1)
    for _ in range(9):
        _, after = network(torch.zeros(1, 3), state)
        assert [part.shape for part in after] == [part.shape for part in state]
        state = after


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: JambaRLPolicy(0, 1), ["observation_dim", "0"]),
        (lambda: JambaRLPolicy(3, 0), ["action_dim", "0"]),
        (lambda: JambaRLPolicy(3, 1, num_heads=3), ["num_heads 3"]),
        (lambda: JambaRLPolicy(3, 1, windows=3), ["'windows' is unknown", "'window'"]),
        (lambda: JambaRLValue(3, window=None), ["must not grow"]),
        (lambda: JambaRLPolicy(3, 1, action_space=SPACE), ["1 numbers (action_dim)", "2"]),
        (lambda: JambaRLPolicy(3, 3, action_space=gym.spaces.Discrete(3)), ["low and high", "Discrete(3)"]),
        (lambda: JambaRLPolicy(3, 1, action_space=gym.spaces.Box(-np.inf, np.inf, (1,))), ["finite bounds"]),
        (lambda: JambaRLPolicy(3, 1, **SMALL)(torch.zeros(2, 4)), ["(batch, 3) or (batch, time, 3)", "(2, 4)"]),
        (lambda: JambaRLPolicy(3, 1, **SMALL)(np.zeros((2, 3))), ["ndarray"]),
        (lambda: JambaRLPolicy(3, 1, **SMALL)(torch.full((1, 3), torch.nan)), ["finite"]),
        (lambda: JambaRLPolicy(3, 1, **SMALL)(torch.zeros(1, 3), reset=torch.zeros(2)), ["reset"]),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ValueError, match=r".") as error:
        call()
    for word in words:
        assert word in str(error.value)
