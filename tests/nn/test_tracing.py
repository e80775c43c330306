"""What a trace says is what the layers did."""

import pytest
import torch

from jamba_rl.nn import Jamba, JambaConfig, trace
from jamba_rl.nn.attention import Attention
from jamba_rl.nn.mamba import Mamba
from tests.nn.test_mixers import STACKS, backbone, sequence, stepwise, used_state

ATTENDING = [name for name, fields in STACKS.items() if set(fields["pattern"]) == {"A"}]


def traced(model: Jamba, run):
    with trace(model) as blocks:
        run()
    return blocks


def assert_equal_traces(left, right) -> None:
    for a, b in zip(left, right, strict=True):
        for kind in ("attention", "decay", "experts"):
            torch.testing.assert_close(getattr(a, kind), getattr(b, kind), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("stack", STACKS)
def test_whole_in_pieces_and_step_by_step_are_traced_alike(stack):
    model, (x, reset) = backbone(stack), sequence()
    state = used_state(model, len(x))
    whole = traced(model, lambda: model(x, state, reset))
    pieces = traced(model, lambda: model(x[:, 7:], model(x[:, :7], state, reset[:, :7]).state, reset[:, 7:]))
    steps = traced(model, lambda: stepwise(model, x, reset, state))
    assert_equal_traces(whole, pieces)
    assert_equal_traces(whole, steps)


@pytest.mark.parametrize("stack", ATTENDING)
@pytest.mark.parametrize("resets", [0.0, 0.3])
def test_values_weighed_by_the_traced_attention_are_what_attention_returns(stack, resets):
    module = backbone(stack).blocks[0].mixer
    assert isinstance(module, Attention)
    x, reset = sequence(resets=resets)
    weights = module.weights(x, None, reset)
    shared = module.config.num_kv_heads
    values = module.qkv_proj(x).unflatten(-1, (-1, module.head_dim))[:, :, -shared:]
    values = values.repeat_interleave(module.config.num_heads // shared, 2)
    y = torch.zeros_like(values)
    for lag in range(min(weights.shape[-1], x.shape[1])):
        y[:, lag:] += weights[:, lag:, :, lag, None] * values[:, : x.shape[1] - lag]
    torch.testing.assert_close(module.out_proj(y.flatten(2)), module(x, None, reset)[0])


@pytest.mark.parametrize("fields", [{}, {"mamba_norms": True, "mamba_bias": True, "conv_bias": False}], ids=str)
@pytest.mark.parametrize("resets", [0.0, 0.1])
def test_what_differs_between_two_memories_shrinks_by_the_traced_decay(fields, resets):
    torch.manual_seed(0)
    module = Mamba(JambaConfig(d_model=16, pattern="M", d_state=4, rotations=0, dt_max=0.5, **fields)).double()
    x, reset = sequence(resets=resets)
    conv, one = module(torch.randn_like(x), None)[1]
    other = one + torch.randn_like(one)
    decay = module.decay(x, (conv, one), reset)
    after_one, after_other = (module(x, (conv, h), reset)[1][1] for h in (one, other))
    torch.testing.assert_close(after_other - after_one, decay.prod(1) * (other - one))
    assert bool((decay[reset] == 0).all())
    assert bool(((decay[~reset] > 0) & (decay[~reset] < 1)).all())


def test_attention_sums_to_one_and_sees_nothing_of_the_episode_before():
    model, (x, reset) = backbone("A"), sequence()
    state = used_state(model, len(x))
    (block,) = traced(model, lambda: model(x, state, reset))
    torch.testing.assert_close(block.attention.sum(-1), torch.ones(3, 12, 2).double())
    age = torch.full((3,), 7)
    for t in range(x.shape[1]):
        age = torch.where(reset[:, t], 0, age)
        for row, steps in enumerate(age.tolist()):
            assert bool((block.attention[row, t, :, steps + 1 :] == 0).all())
        age += 1


def test_without_a_window_the_last_step_can_look_back_to_the_first():
    model = backbone("A over the episode")
    x, _ = sequence()
    (block,) = traced(model, lambda: stepwise(model, x, None, model.initial_state(len(x))))
    assert block.attention.shape == (3, 12, 2, 12)
    assert bool((block.attention[:, 0, :, 1:] == 0).all())
    assert bool((block.attention[:, -1] > 0).all())


@pytest.mark.parametrize("kind", ["renormalised", "softmax", "raw"])
def test_experts_have_their_weights_and_their_load(kind):
    torch.manual_seed(0)
    model = Jamba(JambaConfig(d_model=16, pattern="NM", ffn_pattern="DE", num_experts=5, top_k=2, router_weights=kind))
    x = torch.randn(3, 12, 16)
    with trace(model) as (dense, experts):
        out = model(x)
    (routing,), (statistics,) = out.routing.layers, out.routing.statistics()
    assert dense.experts is None
    chosen = experts.experts.gather(-1, routing.experts.view(3, 12, 2))
    torch.testing.assert_close(chosen, routing.weights.view(3, 12, 2).detach())
    torch.testing.assert_close((experts.experts != 0).float().mean((0, 1)) / 2, statistics.load)


def test_states_are_those_after_every_call():
    model, (x, _) = backbone("MA"), sequence()
    state, after = model.initial_state(len(x)), []
    with trace(model) as blocks:
        for t in range(x.shape[1]):
            state = model.step(x[:, t], state).state
            after.append(state)
    for i, whole in enumerate(after):
        own = (*blocks[0].states[i], *blocks[1].states[i])
        assert all(torch.equal(a, b) for a, b in zip(own, whole, strict=True))
        assert not any(part.requires_grad for part in own)


def test_who_is_traced_returns_the_same_and_is_left_as_it_was():
    model, (x, reset) = backbone("experts"), sequence()
    alone = model(x, None, reset).hidden
    with pytest.raises(ValueError, match="reset"), trace(model) as blocks:  # noqa: PT012
        assert torch.equal(model(x, None, reset).hidden, alone)
        model(x, None, reset[:1])
    model(x)
    assert all(len(block.states) == 1 for block in blocks)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_block_that_has_not_run_has_nothing_to_say():
    with trace(backbone("MA")) as blocks:
        pass
    assert all(
        (block.attention, block.decay, block.experts, block.states) == (None, None, None, ()) for block in blocks
    )


@pytest.mark.parametrize("given", [torch.nn.Linear(1, 1), "a model"], ids=["Linear", "str"])
def test_what_has_no_backbone_is_refused(given):
    with pytest.raises(ValueError, match=f"was {type(given).__name__}$"), trace(given):
        pass
