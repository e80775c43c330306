"""The mixture of experts against all experts computed densely."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.checkpoint import checkpoint

from jamba_rl.nn import JambaConfig, experts
from jamba_rl.nn.experts import Experts, MixtureOfExperts
from jamba_rl.nn.feedforward import activate
from jamba_rl.nn.router import Routing


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def dense(mixture: MixtureOfExperts, x: torch.Tensor) -> torch.Tensor:
    """Every expert for every token, weighed by 0 where it was not chosen."""
    tokens, layer = x.reshape(-1, x.shape[-1]), mixture.experts
    routing = mixture.router(x)
    hidden = torch.einsum("md,xfd->mxf", tokens, layer.in_proj)
    hidden = activate(hidden if layer.in_bias is None else hidden + layer.in_bias, layer.config.expert_act)
    y = torch.einsum("mxf,xdf->mxd", hidden, layer.out_proj)
    y = y if layer.out_bias is None else y + layer.out_bias
    weights = torch.zeros_like(routing.logits).scatter(1, routing.experts, routing.weights)
    return torch.einsum("mx,mxd->md", weights, y).view(x.shape)


def gradients(mixture: MixtureOfExperts, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    """Of x and all parameters, for a loss that weighs every output differently."""
    factors = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
    inputs = [x, *mixture.parameters()]
    found = torch.autograd.grad((factors * y).sum(), inputs, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, inputs, strict=True)]


def assert_equals_dense(config: JambaConfig, x: torch.Tensor, **tolerance: float) -> None:
    mixture = MixtureOfExperts(config).to(x.dtype)
    x = x.requires_grad_()
    y, expected = mixture(x)[0], dense(mixture, x)
    torch.testing.assert_close(y, expected, **tolerance)
    torch.testing.assert_close(gradients(mixture, x, y), gradients(mixture, x, expected), **tolerance)


def fixed(experts: torch.Tensor, num_experts: int) -> Routing:
    """A routing of these choices (M, k) with weights 1, 1/2, ..."""
    weights = 1 / torch.arange(1.0, experts.shape[-1] + 1).expand(experts.shape)
    return Routing(torch.zeros(len(experts), num_experts), experts, weights)


@pytest.fixture
def no_grouped_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experts, "_grouped_applies", lambda rows, weight: False)


# Values and gradients.

KINDS = list(product(["swiglu", "gelu", "silu"], [False, True], ["renormalised", "softmax", "raw"]))


@pytest.mark.parametrize(("act", "bias", "weights"), KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_equals_the_dense_computation_in_values_and_gradients(act, bias, weights, dtype):
    fields = {"expert_act": act, "ffn_bias": bias, "router_weights": weights}
    config = JambaConfig(d_model=16, num_experts=5, top_k=3, **fields)
    assert_equals_dense(config, torch.randn(3, 7, 16, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    tokens=st.integers(1, 30),
    num_experts=st.integers(1, 9),
    top=st.floats(0, 1),
    d_model=st.sampled_from([1, 4, 7, 16]),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_whatever_the_sizes(tokens, num_experts, top, d_model, seed, dtype):
    torch.manual_seed(seed)
    config = JambaConfig(
        d_model=d_model, num_heads=1, num_experts=num_experts, top_k=1 + round(top * (num_experts - 1))
    )
    assert_equals_dense(config, torch.randn(tokens, d_model, dtype=dtype), atol=1e-5, rtol=1e-4)


def test_odd_sizes():
    assert_equals_dense(JambaConfig(d_model=62, ffn_mult=81 / 62, num_heads=1, ffn_bias=True), torch.randn(2, 9, 62))


@pytest.mark.parametrize("bias", [False, True])
def test_grouped_and_split_products_agree(bias, monkeypatch):
    mixture = MixtureOfExperts(JambaConfig(d_model=16, ffn_bias=bias))
    x = torch.randn(40, 16, requires_grad=True)
    assert experts._grouped_applies(x, mixture.experts.in_proj)
    grouped = mixture(x)[0]
    monkeypatch.setattr(experts, "_grouped_applies", lambda rows, weight: False)
    split = mixture(x)[0]
    torch.testing.assert_close(grouped, split)
    torch.testing.assert_close(gradients(mixture, x, grouped), gradients(mixture, x, split))


def test_derivatives_by_finite_differences():
    mixture = MixtureOfExperts(JambaConfig(d_model=4, num_heads=1, num_experts=4, ffn_bias=True)).double()
    x = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    names, values = zip(*mixture.named_parameters(), strict=True)

    def run(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(mixture, dict(zip(names, values, strict=True)), x)[0]

    assert torch.autograd.gradcheck(run, (x, *values))


@pytest.mark.parametrize("d_model", [8, 9])
def test_a_sum_has_a_gradient(d_model):
    mixture = MixtureOfExperts(JambaConfig(d_model=d_model, num_heads=1))
    x = torch.randn(6, d_model, requires_grad=True)
    mixture(x)[0].sum().backward()  # the gradient of a sum is one number, expanded
    for tensor in (x, *mixture.parameters()):
        assert tensor.grad.abs().sum() > 0


# Uneven loads.

LOADS = {
    "one row": torch.tensor([[3, 0]]),
    "all to one": torch.full((9, 1), 2),
    "none to the first and the last": torch.tensor([[1, 2], [2, 1], [2, 3]]),
    "no row": torch.zeros(0, 2, dtype=torch.long),
}


def _check_load(chosen: torch.Tensor) -> None:
    layer = Experts(JambaConfig(d_model=8, num_experts=5, ffn_bias=True))
    routing = fixed(chosen, 5)
    x = torch.randn(len(chosen), 8)
    y = layer(x, routing)
    assert y.shape == x.shape
    for row, row_experts, weights, found in zip(x, chosen, routing.weights, y, strict=True):
        expected = torch.zeros(8)
        for expert, weight in zip(row_experts.tolist(), weights, strict=True):
            hidden = activate(layer.in_proj[expert] @ row + layer.in_bias[expert], "swiglu")
            expected += weight * (layer.out_proj[expert] @ hidden + layer.out_bias[expert])
        torch.testing.assert_close(found, expected)
    y.sum().backward()
    used = set(chosen.flatten().tolist())
    for parameter in layer.parameters():
        assert {expert for expert in range(5) if parameter.grad[expert].abs().sum() > 0} == used


@pytest.mark.parametrize("load", LOADS)
def test_any_load_grouped(load):
    _check_load(LOADS[load])


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.usefixtures("no_grouped_product")
def test_any_load_split(load):
    _check_load(LOADS[load])


def test_the_order_of_the_tokens_does_not_matter():
    mixture = MixtureOfExperts(JambaConfig(d_model=8))
    x, order = torch.randn(20, 8), torch.randperm(20)
    torch.testing.assert_close(mixture(x)[0][order], mixture(x[order])[0])
    torch.testing.assert_close(mixture(x)[0].view(4, 5, 8), mixture(x.view(4, 5, 8))[0])


# In company.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_same_output_as_jamba_of_transformers(dtype):
    from transformers.models import jamba

    theirs = jamba.modeling_jamba.JambaSparseMoeBlock(
        jamba.JambaConfig(hidden_size=16, intermediate_size=24, num_experts=6, num_experts_per_tok=2)
    )
    ours = MixtureOfExperts(JambaConfig(d_model=16, ffn_mult=1.5, num_experts=6, router_weights="softmax"))
    theirs.experts.gate_up_proj, theirs.experts.down_proj = ours.experts.in_proj, ours.experts.out_proj
    theirs.router.weight = ours.router.weight
    theirs.experts.config._experts_implementation = "eager"  # theirs has no other for float64
    ours, theirs, x = ours.to(dtype), theirs.to(dtype), torch.randn(2, 5, 16, dtype=dtype)
    torch.testing.assert_close(ours(x)[0], theirs(x))


@pytest.mark.parametrize("d_model", [16, 9])
def test_autocast_computes_the_experts_in_bfloat16(d_model):
    mixture = MixtureOfExperts(JambaConfig(d_model=d_model, num_heads=1, ffn_bias=True))
    x = torch.randn(30, d_model, requires_grad=True)
    exact = mixture(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = mixture(x)
    assert y.dtype == x.dtype
    assert not torch.equal(y, exact)
    torch.testing.assert_close(y, exact, atol=2e-2, rtol=2e-2)
    for found, expected in zip(gradients(mixture, x, y), gradients(mixture, x, exact), strict=True):
        torch.testing.assert_close(found, expected, atol=0.03 * expected.abs().max().item(), rtol=0.05)


def test_checkpointed_experts_give_the_same_gradients():
    mixture = MixtureOfExperts(JambaConfig(d_model=8, router_jitter=0.5))
    x = torch.randn(20, 8, requires_grad=True)
    routing = mixture.router(x)
    again = checkpoint(mixture.experts, x, routing, use_reentrant=False)
    plain = mixture.experts(x, routing)
    (expected,) = torch.autograd.grad(plain.square().sum(), x, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(again.square().sum(), x)[0], expected)


def test_every_expert_begins_like_a_linear_layer_of_its_own():
    layer = Experts(JambaConfig(d_model=64, num_experts=4, ffn_bias=True))
    for name, width in {"in_proj": 64, "in_bias": 64, "out_proj": 128, "out_bias": 128}.items():
        for parameter in getattr(layer, name):
            assert parameter.abs().max() <= width**-0.5
            assert parameter.std().item() == pytest.approx((3 * width) ** -0.5, rel=0.15)
