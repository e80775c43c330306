"""The contract of every mixer and every mixed stack."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jamba_rl.nn import Jamba, JambaConfig
from jamba_rl.nn.attention import Attention
from jamba_rl.nn.mixer import State

# Every kind of layer, alone and in mixed stacks, and every option that changes what passes through time.
STACKS: dict[str, dict[str, Any]] = {
    **{pattern: {"pattern": pattern} for pattern in ("M", "A", "S", "L", "G", "P", "N", "MA", "AM", "MMMA", "MSLA")},
    "M as published": {"pattern": "M", "mamba_norms": False, "decay_min": None, "rotations": 0},
    "M with norms and biases": {"pattern": "M", "mamba_norms": True, "mamba_bias": True, "conv_bias": False},
    "A without positions": {"pattern": "A", "position": "none"},
    "A with grouped heads": {"pattern": "A", "num_heads": 4, "num_kv_heads": 2, "attention_bias": True},
    "A with one head for all": {"pattern": "A", "num_heads": 4, "num_kv_heads": 1, "position": "rope"},
    "A with lags as in T5": {"pattern": "A", "lag_scale": 1.0},
    "A rotary": {"pattern": "A", "position": "rope"},
    "A over the episode": {"pattern": "A", "position": "none", "window": None},
    "A rotary over the episode": {"pattern": "MA", "position": "rope", "window": None, "num_kv_heads": 1},
    "A with learned positions": {"pattern": "AA", "position": "learned", "max_positions": 6, "window": None},
    "M with learned positions": {"pattern": "M", "position": "learned", "max_positions": 40},
    "experts": {"pattern": "MA", "ffn_pattern": "E", "num_experts": 3, "mamba_norms": True},
    "gelu, checkpointed": {"pattern": "MA", "ffn_pattern": "DE", "ffn_act": "gelu", "gradient_checkpointing": True},
}
MEMORIES = [name for name in STACKS if name not in ("P", "N")]


def fresh(stack: str, seed: int = 0, **overrides: Any) -> Jamba:
    """A double-precision stack as it is made."""
    torch.manual_seed(seed)
    small = {"d_model": 16, "ffn_pattern": "D-", "window": 5, "d_state": 4, "num_heads": 2, "branch_scale": 1.0}
    return Jamba(JambaConfig(**small | STACKS[stack] | overrides)).double()


def backbone(stack: str, seed: int = 0, **overrides: Any) -> Jamba:
    """A stack with every vector parameter shaken, so that no bias stays at zero."""
    model = fresh(stack, seed, **overrides)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lag_bias" in name:
                parameter.normal_(std=1 / model.config.lag_scale)
            elif name.endswith((".D", "table.weight")):
                parameter.normal_()
    return model


def sequence(batch: int = 3, length: int = 12, resets: float = 0.2, seed: int = 1):
    torch.manual_seed(seed)
    return torch.randn(batch, length, 16, dtype=torch.double), torch.rand(batch, length) < resets


def used_state(model: Jamba, batch: int) -> State:
    """A state with something in it."""
    x, _ = sequence(batch, 7, seed=5)
    return model(x).state


def assert_equal_states(a: State, b: State, tolerance: float = 1e-10) -> None:
    assert len(a) == len(b)
    for left, right in zip(a, b, strict=True):
        torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)


def stepwise(model: Jamba, x, reset, state):
    hidden = []
    for t in range(x.shape[1]):
        out = model.step(x[:, t], state, None if reset is None else reset[:, t])
        hidden.append(out.hidden)
        state = out.state
    return torch.stack(hidden, 1), state


@pytest.mark.parametrize("stack", STACKS)
def test_step_repeated_equals_forward(stack):
    model = backbone(stack)
    x, reset = sequence()
    state = used_state(model, len(x))
    whole = model(x, state, reset)
    hidden, _ = stepwise(model, x, reset, state)
    torch.testing.assert_close(hidden, whole.hidden, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("stack", STACKS)
def test_step_repeated_equals_forward_within_1e5_in_single_precision(stack):
    model = backbone(stack).float()
    x, reset = sequence(length=200, resets=0.05)
    state = model.initial_state(len(x))
    hidden, _ = stepwise(model, x.float(), reset, state)
    assert (hidden - model(x.float(), state, reset).hidden).abs().max() <= 1e-5


@pytest.mark.parametrize("stack", STACKS)
@settings(deadline=None, max_examples=15)
@given(cut=st.integers(1, 11), resets=st.sampled_from([0.0, 0.2, 0.8]), seed=st.integers(0, 100))
def test_forward_in_chunks_equals_forward_whole(stack, cut, resets, seed):
    model = backbone(stack)
    x, reset = sequence(resets=resets, seed=seed)
    whole = model(x, None, reset)
    first = model(x[:, :cut], None, reset[:, :cut])
    second = model(x[:, cut:], first.state, reset[:, cut:])
    torch.testing.assert_close(torch.cat([first.hidden, second.hidden], 1), whole.hidden, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("stack", STACKS)
def test_continuing_from_a_chunked_or_stepped_state_is_the_same(stack):
    model = backbone(stack)
    x, reset = sequence(length=12)
    more, _ = sequence(length=6, seed=9)
    by_forward = model(more, model(x, None, reset).state).hidden
    by_step = model(more, stepwise(model, x, reset, model.initial_state(3))[1]).hidden
    torch.testing.assert_close(by_forward, by_step, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("stack", STACKS)
def test_a_reset_equals_starting_over(stack):
    model = backbone(stack)
    x, _ = sequence()
    reset = torch.zeros(3, 12, dtype=torch.bool)
    reset[0, 4] = reset[0, 5] = reset[1, 0] = reset[2, 11] = True
    hidden = model(x, used_state(model, 3), reset).hidden
    for row, begin in [(0, 5), (1, 0), (2, 11)]:
        fresh = model(x[row : row + 1, begin:]).hidden
        torch.testing.assert_close(hidden[row : row + 1, begin:], fresh, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("stack", STACKS)
def test_no_reset_and_a_mask_without_resets_agree(stack):
    model = backbone(stack)
    x, reset = sequence(resets=0.0)
    state = used_state(model, 3)
    without, masked = model(x, state), model(x, state, reset)
    torch.testing.assert_close(without.hidden, masked.hidden, rtol=1e-12, atol=1e-12)
    assert_equal_states(without.state, masked.state)


@pytest.mark.parametrize("stack", STACKS)
def test_the_future_does_not_change_the_past(stack):
    model = backbone(stack)
    x, reset = sequence()
    changed = x.clone()
    changed[:, 7:] += 1.0
    before = model(x, None, reset).hidden
    after = model(changed, None, reset).hidden
    torch.testing.assert_close(before[:, :7], after[:, :7], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(before[:, 7:], after[:, 7:])


@pytest.mark.parametrize("stack", MEMORIES)
def test_the_past_changes_the_present_until_a_reset(stack):
    model = backbone(stack)
    x, reset = sequence(resets=0.0)
    changed = x.clone()
    changed[:, 3] += 1.0
    assert not torch.allclose(model(x).hidden[:, 5], model(changed).hidden[:, 5])
    reset[:, 4] = True
    before, after = model(x, None, reset).hidden, model(changed, None, reset).hidden
    torch.testing.assert_close(before[:, 4:], after[:, 4:], rtol=1e-12, atol=1e-12)


def test_a_step_of_the_optimizer_moves_lags_further_in_the_first_heads():
    model = Attention(JambaConfig(d_model=12, pattern="A", num_heads=3, window=4, lag_scale=9.0))
    x = torch.zeros(1, 6, 12)
    assert torch.allclose(model.weights(x, None)[0, -1], torch.full((3, 4), 0.25))
    with torch.no_grad():
        model.lag_bias[:, 2] += 0.5
    ratio = model.weights(x, None)[0, -1, :, 2] / model.weights(x, None)[0, -1, :, 1]
    torch.testing.assert_close(ratio.log(), torch.tensor([4.5, 1.5, 0.5]))


def test_attention_sees_its_window_and_nothing_older():
    model = backbone("A", window=5)
    x, _ = sequence(resets=0.0)
    changed = x.clone()
    changed[:, 2] += 1.0
    before, after = model(x).hidden, model(changed).hidden
    assert not torch.allclose(before[:, 6], after[:, 6])
    assert torch.equal(before[:, 7:], after[:, 7:])


@pytest.mark.parametrize("stack", STACKS)
def test_gradient_reaches_every_parameter_and_the_incoming_state(stack):
    model = backbone(stack)
    x, _ = sequence(length=2)
    state = tuple(
        part.detach().clone().requires_grad_() if part.is_floating_point() else part for part in used_state(model, 3)
    )
    (model(x, state).hidden * torch.arange(16)).sum().backward()  # a plain sum of squares is constant after the norm
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    for part in state:
        if part.is_floating_point():
            assert part.grad is not None
            assert part.grad.abs().sum() > 0


def test_the_state_passed_in_is_left_alone():
    model = backbone("MSLA")
    x, reset = sequence()
    state = used_state(model, 3)
    copies = tuple(part.clone() for part in state)
    model(x, state, reset)
    model.step(x[:, 0], state, reset[:, 0])
    assert all(torch.equal(part, copy) for part, copy in zip(state, copies, strict=True))


@pytest.mark.parametrize("stack", STACKS)
def test_rows_of_a_batch_do_not_mix(stack):
    model = backbone(stack)
    x, reset = sequence()
    together = model(x, None, reset).hidden
    for row in range(3):
        alone = model(x[row : row + 1], None, reset[row : row + 1]).hidden
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-10, atol=1e-10)


def test_mamba_starts_with_time_steps_in_the_configured_range():
    model = Jamba(JambaConfig.preset("mamba", d_model=32, num_layers=1))
    mixer = model.blocks[0].mixer
    dt = torch.nn.functional.softplus(mixer.dt_proj.bias)
    assert dt.min() >= 0.99e-3
    assert dt.max() <= 0.101
    assert dt.max() / dt.min() > 20  # spread over the range, not one value
    torch.testing.assert_close(mixer.A_log.exp()[0], torch.arange(1.0, 17.0))
    assert torch.equal(mixer.D, torch.ones(64))


def test_the_linear_ssm_is_linear_and_time_invariant():
    mixer = backbone("S").blocks[0].mixer
    x, _ = sequence(resets=0.0)
    y = mixer(x, mixer.initial_state(3))[0]
    torch.testing.assert_close(mixer(2.5 * x, mixer.initial_state(3))[0], 2.5 * y)
    late = torch.cat([torch.zeros_like(x[:, :3]), x], 1)
    torch.testing.assert_close(mixer(late, mixer.initial_state(3))[0][:, 3:], y)


def test_mamba_loads_weights_under_the_names_of_mamba_ssm():
    names = set(dict(backbone("M as published").blocks[0].mixer.named_parameters()))
    assert names == {
        "A_log", "D", "in_proj.weight", "conv1d.weight", "conv1d.bias", "x_proj.weight",
        "dt_proj.weight", "dt_proj.bias", "out_proj.weight",
    }  # fmt: skip


@pytest.mark.parametrize("stack", [name for name, fields in STACKS.items() if fields.get("position") != "learned"])
def test_a_stack_begins_near_the_identity(stack):
    near, far = fresh(stack, branch_scale=1e-6), fresh(stack)
    x, _ = sequence()
    alone = torch.nn.functional.rms_norm(x, (16,))
    torch.testing.assert_close(near(x).hidden, alone, rtol=1e-3, atol=1e-3)
    if stack != "N":
        assert (far(x).hidden - alone).abs().max() > 0.01
