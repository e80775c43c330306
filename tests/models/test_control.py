"""Networks of agents without Stable-Baselines3."""

import inspect

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from jamba_rl.models import JambaRLActorCritic, JambaRLPolicy, JambaRLValue
from jamba_rl.models.gaussian import ActionScale

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


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(width=32, allow_nan=False, allow_infinity=False)] * 2), min_size=1, max_size=3),
    st.floats(-3, 3, width=32),
)
@example([(-2.4, 0.7)], 1.0)
@example([(-3e38, 3e38)], 0.1)
def test_no_rounding_error_leaves_the_space(bounds, raw):
    low, high = np.sort(np.float32(bounds), 1).T
    assume((low < high).all())
    space = gym.spaces.Box(low, high)
    scale = ActionScale(len(low), space)
    action = scale(torch.full((len(low),), raw)).numpy()
    assert space.contains(action)
    if abs(raw) >= 1:
        assert action.tolist() == (high if raw > 0 else low).tolist()


def test_bounds_in_double_precision_are_kept_too():
    space = gym.spaces.Box(np.array([-0.1, 0.2]), np.array([0.1, 0.7]), dtype=np.float64)
    scale = ActionScale(2, space)
    assert torch.tensor(0.1).double() > 0.1  # its nearest float32 lies outside
    for raw in (-1.0, 1.0):
        assert space.contains(scale(torch.full((2,), raw)).numpy())


@pytest.mark.parametrize("shape", [(2, 3), (6,), (3, 1, 2)])
def test_actions_have_the_shape_of_their_space(shape):
    space = gym.spaces.Box(-2, 2, shape)
    for make in (JambaRLPolicy, JambaRLActorCritic):
        agent, obs = make(3, 6, **SMALL, action_space=space), torch.randn(4, 7, 3)
        chosen = agent.act(obs[:, 0])
        assert chosen.action.shape == (4, *shape)
        assert space.contains(chosen.action[0].numpy())
        torch.testing.assert_close(chosen.action.flatten(1), 2 * chosen.raw.clamp(-1, 1))
        assert chosen.log_prob.shape == (4,)
        assert agent(obs)[0].shape == (4, 7, *shape)


def test_an_action_may_be_one_number_without_a_dimension():
    space = gym.spaces.Box(-2, 2, ())
    action = JambaRLPolicy(3, 1, **SMALL, action_space=space).act(torch.randn(4, 3)).action
    assert action.shape == (4,)
    assert space.contains(action[0].numpy())


def test_a_clipped_mean_has_a_gradient_only_where_it_is_judged():
    policy, obs = networks()["policy"], torch.randn(1, 3)
    with torch.no_grad():
        policy.actor_head[-1].bias.fill_(3.0)
    policy(obs)[0].sum().backward()
    assert policy.actor_head[-1].bias.grad.abs().sum() == 0
    policy.judge(obs).distribution.log_prob(torch.zeros(1, 2)).sum().backward()
    assert policy.actor_head[-1].bias.grad.abs().sum() > 0


SEED = {  # names, order and defaults of DHC-Jamba-Enhanced's adapters
    "hidden_dim": 128, "num_layers": 4, "d_state": 16, "d_conv": 4, "num_heads": 4, "mamba_ratio": 3,
    "moe_frequency": 0, "dropout": 0.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("make", "first"), [(JambaRLPolicy, (3, 2)), (JambaRLValue, (3,)), (JambaRLActorCritic, (3, 2))]
)
def test_arguments_by_position_are_those_of_the_source(make, first):
    parameters = list(inspect.signature(make).parameters.values())
    assert [each.name for each in parameters[: len(first)]] == ["observation_dim", "action_dim"][: len(first)]
    by_position = [each for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD][len(first) :]
    assert {each.name: each.default for each in by_position} == SEED
    assert [each.name for each in by_position] == list(SEED)
    network = make(*first, 16, 2, 8, 3, 2, 1, 2, 0.25, num_experts=3)
    config = network.jamba.config
    assert (config.d_model, config.pattern, config.d_state, config.d_conv, config.num_heads) == (16, "MA", 8, 3, 2)
    assert (config.ffn_pattern, config.dropout, config.num_experts) == ("DE", 0.25, 3)


@pytest.mark.parametrize("name", ["policy", "value", "both"])
def test_experts_can_be_trained(name):
    experts = {**SMALL, "moe_frequency": 2, "num_experts": 3}
    network = {
        "policy": lambda: JambaRLPolicy(3, 2, **experts),
        "value": lambda: JambaRLValue(3, **experts),
        "both": lambda: JambaRLActorCritic(3, 2, **experts),
    }[name]()
    judged = network.judge(torch.randn(2, 5, 3))
    judged.routing.loss().backward()
    routers = [each for key, each in network.named_parameters() if key.endswith("router.weight")]
    assert len(routers) == 2
    assert all(router.grad.abs().sum() > 0 for router in routers)


@pytest.mark.parametrize("make", [JambaRLPolicy, JambaRLActorCritic])
def test_acting_is_without_dropout_and_leaves_the_mode_as_it_was(make):
    agent, obs = make(3, 2, **SMALL, dropout=0.5, branch_scale=1.0), torch.randn(4, 3)
    agent.jamba.blocks[0].eval()
    first, second = (agent.act(obs, deterministic=True) for _ in range(2))
    assert torch.equal(first.action, second.action)
    assert [block.training for block in agent.jamba.blocks] == [False, True, True, True]
    assert agent.training
    drawn = agent.act(obs)
    assert not torch.allclose(agent.judge(obs).distribution.log_prob(drawn.raw), drawn.log_prob)
    torch.testing.assert_close(agent.eval().judge(obs).distribution.log_prob(drawn.raw), drawn.log_prob)


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
        (lambda: JambaRLPolicy(3, 1, d_model=16), ["d_model", "hidden_dim"]),
        (lambda: JambaRLPolicy(3, 1, "16"), ["hidden_dim", "'16'"]),
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
