"""What routers choose, and the losses and statistics that follow from it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jamba_rl.nn import Jamba, JambaConfig
from jamba_rl.nn.router import Router, Routing, Routings


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def routing(logits: torch.Tensor, top_k: int) -> Routing:
    """What a router without bias makes of these logits (M, X)."""
    chosen, experts = logits.topk(top_k)
    return Routing(logits, experts, chosen.softmax(-1))


def routings(*layers: torch.Tensor, top_k: int = 2, **fields) -> Routings:
    config = JambaConfig(num_experts=layers[0].shape[-1], top_k=top_k, **fields)
    return Routings(tuple(routing(logits, top_k) for logits in layers), config)


# What is chosen, and how it is weighed.


@pytest.mark.parametrize("kind", ["renormalised", "softmax", "raw"])
@pytest.mark.parametrize("top_k", [1, 2, 5])
def test_the_largest_logits_are_chosen_and_weighed_by_kind(kind, top_k):
    router = Router(JambaConfig(d_model=8, num_experts=5, top_k=top_k, router_weights=kind))
    x = torch.randn(2, 7, 8)
    found = router(x)
    logits = x.reshape(14, 8) @ router.weight.T
    probabilities = logits.softmax(-1).topk(top_k)
    expected = {
        "renormalised": probabilities.values / probabilities.values.sum(-1, keepdim=True),
        "softmax": probabilities.values,
        "raw": logits.topk(top_k).values,
    }[kind]
    torch.testing.assert_close(found.logits, logits)
    torch.testing.assert_close(found.experts, probabilities.indices)
    torch.testing.assert_close(found.weights, expected)


def test_large_logits_overflow_nowhere():
    config = JambaConfig(d_model=4, num_experts=3)
    router = Router(config)
    found = router(torch.randn(9, 4) * 1e4)
    assert found.weights.isfinite().all()
    layers = Routings((found,), config)
    assert layers.loss().isfinite()
    assert layers.statistics()[0].entropy.isfinite()


def test_jitter_is_noise_of_its_size_in_training_only():
    router = Router(JambaConfig(d_model=4, num_experts=5, router_jitter=0.3))
    x = torch.randn(4000, 4)
    noise = router(x).logits - router.eval()(x).logits
    assert noise.std().item() == pytest.approx(0.3, rel=0.05)
    assert torch.equal(router(x).logits, router(x).logits)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_logits_are_at_least_float32_and_weights_of_the_type_of_the_input(dtype):
    router = Router(JambaConfig(d_model=4)).to(dtype)
    found = router(torch.randn(3, 4, dtype=dtype))
    assert found.logits.dtype == torch.promote_types(dtype, torch.float32)
    assert found.weights.dtype == dtype


def test_logits_stay_in_float32_under_autocast():
    router = Router(JambaConfig(d_model=4))
    x = torch.randn(3, 4)
    plain = router(x)
    with torch.autocast("cpu", torch.bfloat16):
        cast = router(x)
    assert torch.equal(plain.logits, cast.logits)
    assert cast.weights.dtype == torch.float32


# Balance without a loss.


@pytest.mark.parametrize("kind", ["renormalised", "softmax", "raw"])
def test_bias_changes_what_is_chosen_but_not_how_it_is_weighed(kind):
    config = {"d_model": 4, "num_experts": 5, "router_weights": kind}
    biased, plain = Router(JambaConfig(balance="bias", **config)), Router(JambaConfig(top_k=5, **config))
    plain.weight = biased.weight
    biased.bias.copy_(torch.tensor([0.0, 0.0, 100.0, 0.0, 50.0]))
    x = torch.randn(9, 4)
    found, everything = biased(x), plain(x)
    assert torch.equal(found.experts, torch.tensor([2, 4]).expand(9, 2))
    by_expert = torch.zeros(9, 5).scatter(1, everything.experts, everything.weights)[:, [2, 4]]
    if kind == "renormalised":
        by_expert = by_expert / by_expert.sum(-1, keepdim=True)
    torch.testing.assert_close(found.weights, by_expert)


def test_rebalancing_evens_out_a_skewed_load():
    config = JambaConfig(d_model=8, num_experts=4, top_k=1, balance="bias")
    router = Router(config)
    x = torch.randn(500, 8) + 1.0
    with torch.no_grad():
        router.weight[0] += 0.2
    before = router.weight.clone()
    largest = []
    for _ in range(200):
        (statistics,) = Routings((router(x),), config).statistics()
        largest.append(statistics.max_over_mean.item())
        router.rebalance(statistics.load, rate=0.003)
    assert largest[0] > 1.5
    assert largest[-1] < 1.25
    assert torch.equal(router.weight, before)
    assert router.bias.mean().abs() < 1e-6


def test_an_expert_below_the_mean_gains_and_the_mean_of_the_bias_stays_zero():
    router = Router(JambaConfig(num_experts=4, balance="bias"))
    router.rebalance(torch.tensor([0.7, 0.1, 0.1, 0.1]), rate=0.1)  # -0.1 and thrice 0.1, of mean 0.05
    torch.testing.assert_close(router.bias, torch.tensor([-0.15, 0.05, 0.05, 0.05]))


def test_padding_does_not_move_the_bias_of_a_stack():
    stack = Jamba(JambaConfig(d_model=8, pattern="M", ffn_pattern="E", num_experts=4, top_k=1, balance="bias"))
    out = stack(torch.randn(2, 6, 8))
    mask = torch.zeros(2, 6, dtype=torch.bool)
    mask[0, 0] = True
    stack.balance_experts(out.routing, mask)
    (chosen,) = out.routing.layers[0].experts[0].tolist()
    after = stack.blocks[0].ffn.router.bias
    expected = torch.full((4,), 0.005)
    expected[chosen] = -0.015  # the only one that a token which counts went to
    torch.testing.assert_close(after, expected)


@pytest.mark.parametrize("training", [True, False])
def test_routing_changes_no_buffer(training):
    router = Router(JambaConfig(d_model=4, balance="bias", router_jitter=0.1)).train(training)
    before = {name: tensor.clone() for name, tensor in router.state_dict().items()}
    router(torch.randn(9, 4)).weights.sum().backward()
    assert before.keys() == {"weight", "bias"}
    assert all(torch.equal(tensor, before[name]) for name, tensor in router.state_dict().items())


def test_only_balance_by_bias_has_one():
    router = Router(JambaConfig())
    router.rebalance(torch.ones(8) / 8, rate=0.1)
    assert set(router.state_dict()) == {"weight"}


# Losses.


@given(tokens=st.integers(1, 20), experts=st.integers(2, 9), layers=st.integers(1, 3), data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_uniform_router_has_the_least_balance_loss(tokens, experts, layers, data):
    top_k = data.draw(st.integers(1, experts))
    logits = [torch.full((tokens, experts), 0.7) for _ in range(layers)]
    expected = {"switch": 1.0, "pooled": float(top_k), "uniform": 0.0, "bias": 0.0, "none": 0.0}
    for kind, least in expected.items():
        assert routings(*logits, top_k=top_k, balance=kind).balance_loss().item() == pytest.approx(least, abs=1e-5)


@pytest.mark.parametrize("kind", ["switch", "pooled", "uniform"])
def test_a_skewed_router_pays_more_than_a_uniform_one(kind):
    skewed = torch.tensor([4.0, 3.0, 0.0, 0.0]).expand(6, 4)
    assert routings(skewed, balance=kind).balance_loss() > 1.2 * routings(skewed * 0, balance=kind).balance_loss() + 0.1


def test_the_switch_loss_takes_probability_from_experts_above_their_share():
    logits = torch.tensor([[2.0, 1.0, 0.5, 0.0]] * 5 + [[0.0, 1.0, 2.0, 0.5]], requires_grad=True)
    layers = routings(logits, balance="switch", top_k=1)  # f = 5/6, 0, 1/6, 0
    layers.balance_loss().backward()
    assert (logits.grad[:, 0] > 0).all()  # what a step of the optimiser lowers
    assert (logits.grad[:, [1, 3]] < 0).all()


def test_layers_cancel_only_when_they_are_pooled():
    one = torch.tensor([3.0, 0.0]).expand(4, 2)
    other = one.flip(-1)
    assert routings(one, other, top_k=1, balance="pooled").balance_loss().item() == pytest.approx(1)
    assert routings(one, other, top_k=1, balance="switch").balance_loss() > 1.8
    assert routings(one, other, top_k=1, balance="uniform").balance_loss() > 0.2


@pytest.mark.parametrize("masked", [False, True])
def test_the_pooled_loss_is_that_of_transformers(masked):
    from transformers.models.jamba import modeling_jamba as jamba

    logits = tuple(torch.randn(12, 6) for _ in range(3))
    mask = torch.rand(3, 4) < 0.6 if masked else None
    expected = jamba.load_balancing_loss_func(logits, 6, 2, mask)
    torch.testing.assert_close(routings(*logits, balance="pooled").balance_loss(mask), expected)


def test_z_losses_of_known_logits():
    logits = torch.tensor([[math.log(2), math.log(3)], [math.log(1), math.log(1)]])  # logsumexp log 5, log 2
    squared = (math.log(5) ** 2 + math.log(2) ** 2) / 2
    linear = (math.log(5) + math.log(2)) / 2
    for kind, expected in {"squared": squared, "linear": linear, "none": 0.0}.items():
        assert routings(logits, z_loss=kind).z_loss().item() == pytest.approx(expected, rel=1e-6)
    mask = torch.tensor([False, True])
    assert routings(logits).z_loss(mask).item() == pytest.approx(math.log(2) ** 2, rel=1e-6)


def test_the_loss_is_the_sum_of_both_times_their_coefficients():
    layers = routings(torch.randn(9, 4), balance_coef=0.5, z_coef=0.25)
    torch.testing.assert_close(layers.loss(), 0.5 * layers.balance_loss() + 0.25 * layers.z_loss())
    assert Routings((), JambaConfig()).loss() == 0
    assert Routings((), JambaConfig()).statistics() == ()


@pytest.mark.parametrize("balance", ["switch", "pooled", "uniform"])
@pytest.mark.parametrize("z_loss", ["squared", "linear"])
def test_what_is_masked_counts_nowhere(balance, z_loss):
    logits, mask = torch.randn(12, 5), torch.rand(3, 4) < 0.6
    mask[0, 0] = True
    kinds = {"balance": balance, "z_loss": z_loss}
    whole, kept = routings(logits, **kinds), routings(logits[mask.flatten()], **kinds)
    torch.testing.assert_close(whole.loss(mask), kept.loss())
    torch.testing.assert_close(whole.loss(torch.ones(12, dtype=torch.bool)), whole.loss())
    for ours, theirs in zip(whole.statistics(mask), kept.statistics(), strict=True):
        for name in ("load", "entropy", "max_over_mean", "dead"):
            torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))


def test_a_mask_without_a_token_gives_numbers():
    layers, mask = routings(torch.randn(4, 3)), torch.zeros(4, dtype=torch.bool)
    assert layers.loss(mask) == 0
    assert layers.statistics(mask)[0].load.tolist() == [0, 0, 0]


@pytest.mark.parametrize("balance", ["switch", "pooled", "uniform"])
def test_losses_are_the_same_under_autocast(balance):
    layers, mask = routings(torch.randn(50, 4), balance=balance), torch.rand(50) < 0.5
    with torch.autocast("cpu", torch.bfloat16):
        cast = layers.loss(mask)
    assert torch.equal(cast, layers.loss(mask))


# Statistics.


def test_statistics_of_a_case_by_hand():
    # Tokens choose {0, 1}, {0, 2}, {0, 1}: loads 3, 2, 1, 0 of 6 choices, mean 1.5.
    chosen = torch.tensor([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    logits = torch.where(chosen > 0, 0.0, -1e9).requires_grad_()  # two equal probabilities
    (found,) = routings(logits).statistics()
    torch.testing.assert_close(found.load, torch.tensor([3.0, 2.0, 1.0, 0.0]) / 6)
    assert found.entropy.item() == pytest.approx(math.log(2))
    assert found.max_over_mean.item() == pytest.approx(2)
    assert found.dead.item() == 1
    assert not any(getattr(found, name).requires_grad for name in ("load", "entropy", "max_over_mean", "dead"))


@pytest.mark.parametrize("mask", [torch.tensor([True]), torch.ones(5, dtype=torch.bool), torch.ones(6)])
def test_a_mask_of_another_size_or_type_is_refused(mask):
    router = Router(JambaConfig(d_model=4, num_experts=3))
    routings = Routings((router(torch.randn(6, 4)),), JambaConfig(num_experts=3))
    with pytest.raises(ValueError, match="for each of 6 tokens"):
        routings.loss(mask)


def test_the_bias_of_balancing_stays_in_single_precision():
    router = Router(JambaConfig(d_model=4, num_experts=2, top_k=1, balance="bias")).bfloat16()
    for _ in range(3000):
        router.rebalance(torch.tensor([1.0, 0.0]), 0.001)
    assert router.bias.tolist() == pytest.approx([-3.0, 3.0], rel=1e-3)
