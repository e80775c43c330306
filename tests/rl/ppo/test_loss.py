"""The loss of PPO and its gradient against autograd of SB3's formula."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from jamba_rl.rl.ppo.loss import LossForm, Statistics, Targets, ppo_loss
from tests.nn.scan.problems import needs_kernel

compiles = pytest.mark.skipif(bool(needs_kernel), reason=str(needs_kernel))
FORM = LossForm(clip_range=0.2, clip_range_vf=None, vf_coef=0.5, normalize_advantage=True)


def reference(log_prob: Tensor, values: Tensor, targets: Targets, form: LossForm) -> tuple[Tensor, Tensor]:
    """As in SB3's ``PPO.train``."""
    advantages = targets.advantages
    if form.normalize_advantage and len(advantages) > 1:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    log_ratio = log_prob - targets.old_log_prob
    ratio = torch.exp(log_ratio)
    bounded = advantages * torch.clamp(ratio, 1 - form.clip_range, 1 + form.clip_range)
    policy_loss = -torch.min(advantages * ratio, bounded).mean()
    if form.clip_range_vf is not None:
        change = torch.clamp(values - targets.old_values, -form.clip_range_vf, form.clip_range_vf)
        values = targets.old_values + change
    value_loss = F.mse_loss(targets.returns, values)
    clipped = ((ratio - 1).abs() > form.clip_range).float().mean()
    loss = policy_loss + form.vf_coef * value_loss
    return loss, torch.stack([loss, policy_loss, value_loss, clipped, ((ratio - 1) - log_ratio).mean()])


def problem(rows: int, dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor, Targets]:
    """Log probabilities and values, some of which are clipped."""
    g = torch.Generator().manual_seed(seed)
    numbers = torch.randn(6, rows, generator=g).to(dtype)
    log_prob, values, advantages, returns, old_values, old_log_prob = numbers.unbind()
    old_log_prob = log_prob + 0.3 * old_log_prob
    return (
        log_prob.clone().requires_grad_(),
        values.clone().requires_grad_(),
        Targets(3.0 * advantages + 1.0, returns, old_values, old_log_prob),
    )


def assert_same(log_prob: Tensor, values: Tensor, targets: Targets, form: LossForm, tolerance: float) -> None:
    loss, statistics = ppo_loss(log_prob, values, targets, form)
    expected, expected_statistics = reference(log_prob, values, targets, form)
    close = {"rtol": tolerance, "atol": tolerance, "equal_nan": True}
    torch.testing.assert_close((loss, statistics), (expected, expected_statistics), **close)
    inputs = (log_prob, values)
    got, wanted = torch.autograd.grad(2.0 * loss, inputs), torch.autograd.grad(2.0 * expected, inputs)
    torch.testing.assert_close(got, wanted, **close)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.sampled_from([1, 2, 3, 64, 257]),
    clip=st.sampled_from([0.0, 0.05, 0.2, 0.9]),
    clip_value=st.sampled_from([None, 1e-3, 0.5, 10.0]),
    vf_coef=st.sampled_from([0.0, 0.5, 2.0]),
    normalize=st.booleans(),
    seed=st.integers(0, 99),
)
def test_values_and_gradients_are_those_of_the_formula(
    path, dtype, tolerance, rows, clip, clip_value, vf_coef, normalize, seed
):
    assert_same(*problem(rows, dtype, seed), LossForm(clip, clip_value, vf_coef, normalize), tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_at_the_bounds_it_is_not_clipped(path, dtype):
    """The bounds are powers of two, so that numbers lie on them exactly; log 0.5 and log 1.5 need not."""
    change = torch.tensor([-0.5, 0.5, -0.50001, 0.50001, 0.0], dtype=dtype)
    log_prob = (1.0 + change).log().requires_grad_()
    values = change.clone().requires_grad_()
    for advantage in (-1.0, 0.0, 1.0):
        targets = Targets(torch.full((5,), advantage, dtype=dtype), *torch.zeros(3, 5, dtype=dtype))
        form = LossForm(0.5, 0.5, 0.5, False)
        loss, _ = ppo_loss(log_prob, values, targets, form)
        (dvalues,) = torch.autograd.grad(loss, values)
        torch.testing.assert_close(dvalues, torch.tensor([-0.1, 0.1, 0.0, 0.0, 0.0], dtype=dtype))
        assert_same(log_prob, values, targets, form, 1e-6)


@pytest.mark.parametrize("advantage", [-1.0, 1.0])
def test_only_what_would_go_further_is_clipped(path, advantage):
    log_prob = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    targets = Targets(torch.full((3,), advantage), *torch.zeros(3, 3))
    loss, statistics = ppo_loss(log_prob, torch.zeros(3), targets, FORM._replace(normalize_advantage=False))
    (gradient,) = torch.autograd.grad(loss, log_prob)
    moving = [True, True, False] if advantage > 0 else [False, True, True]
    assert (gradient != 0).tolist() == moving
    assert statistics[Statistics._fields.index("clip_fraction")] == pytest.approx(2 / 3)


def test_equal_advantages_are_no_advantages(path):
    log_prob, values, targets = problem(8, torch.float32)
    assert_same(log_prob, values, targets._replace(advantages=torch.full((8,), 2.0)), FORM, 1e-6)


def test_strides_do_not_matter(path):
    log_prob, values, targets = problem(9, torch.float32)
    apart = [torch.stack([part, part], 1)[:, 1] for part in (log_prob, values, *targets)]
    assert not any(part.is_contiguous() for part in apart)
    assert_same(apart[0], apart[1], Targets(*apart[2:]), FORM._replace(clip_range_vf=0.5), 1e-5)


@pytest.mark.parametrize("part", range(6))
def test_what_is_not_a_number_is_seen(path, part):
    log_prob, values, targets = problem(9, torch.float32)
    numbers = [number.detach().clone() for number in (log_prob, values, *targets)]
    numbers[part][3] = torch.nan
    log_prob, values = (number.requires_grad_() for number in numbers[:2])
    loss, statistics = ppo_loss(log_prob, values, Targets(*numbers[2:]), FORM._replace(clip_range_vf=10.0))
    assert loss.isnan()
    assert statistics[0].isnan()
    gradients = torch.autograd.grad(loss, (log_prob, values))
    assert any(bool(gradient.isnan().any()) for gradient in gradients)


def test_a_ratio_beyond_all_numbers_is_clipped_like_others(path):
    """In SB3 its gradient is 0 times infinity."""
    log_prob, values, targets = problem(4, torch.float32)
    far = targets._replace(old_log_prob=targets.old_log_prob - 200.0, advantages=torch.tensor([1.0, 2.0, 3.0, 4.0]))
    loss, _ = ppo_loss(log_prob, values, far, FORM._replace(normalize_advantage=False))
    assert loss.isfinite()
    assert not torch.autograd.grad(loss, log_prob)[0].any()


def test_the_inputs_are_left_as_they_are(path):
    log_prob, values, targets = problem(9, torch.float32)
    before = [part.detach().clone() for part in (log_prob, values, *targets)]
    ppo_loss(log_prob, values, targets, FORM._replace(clip_range_vf=0.1))[0].backward()
    assert all(map(torch.equal, before, (log_prob, values, *targets)))


def test_of_each_there_are_as_many(path):
    log_prob, values, targets = problem(9, torch.float32)
    with pytest.raises(AssertionError):
        ppo_loss(log_prob, values, targets._replace(returns=targets.returns[:8]), FORM)
    with pytest.raises(AssertionError):
        ppo_loss(log_prob, values[:, None], targets, FORM)


def test_numbers_for_the_log_have_no_gradient(path):
    _, statistics = ppo_loss(*problem(9, torch.float32), FORM)
    assert not statistics.requires_grad


def test_a_gradient_of_a_gradient_is_refused(path):
    log_prob, values, targets = problem(9, torch.float32)
    weight = torch.ones((), requires_grad=True)
    loss = ppo_loss(log_prob, values, targets, FORM)[0] * weight
    (gradient,) = torch.autograd.grad(loss, values, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@compiles
def test_it_is_one_call(monkeypatch):
    monkeypatch.setattr("jamba_rl.rl.ppo.loss._torch_ppo_loss", None)
    ppo_loss(*problem(9, torch.float32), FORM)[0].backward()
