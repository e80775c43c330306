"""The squashed Gaussian against torch.distributions."""

import pytest
import torch
from stable_baselines3.common.distributions import SquashedDiagGaussianDistribution
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from jamba_rl.rl.sac.squashed import squashed_sample
from tests.rl.sac.tiny import clocks, tiny


def problem(rows=6, size=3, dtype=torch.float64, scale=1.0):
    """Means, logarithms of deviations, noise."""
    g = torch.Generator().manual_seed(rows)
    mean, log_std, noise = (torch.randn(rows, size, generator=g, dtype=torch.float64) for _ in range(3))
    return (scale * mean).to(dtype).requires_grad_(), log_std.to(dtype).requires_grad_(), noise.to(dtype)


def reference(mean, log_std, noise):
    normal = Normal(mean.double(), log_std.double().exp())
    raw = mean.double() + log_std.double().exp() * noise.double()
    transform = TanhTransform(cache_size=1)
    actions = transform(raw)  # the cache takes it back exactly
    return actions, TransformedDistribution(normal, [transform]).log_prob(actions).sum(1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-5)])
@pytest.mark.parametrize("sizes", [(6, 3), (1, 1), (50, 17), (0, 2)])
def test_actions_log_probabilities_and_gradients(sizes, dtype, tolerance):
    problem_ = problem(*sizes, dtype)
    got, expected = squashed_sample(*problem_), reference(*problem_)
    g = torch.Generator().manual_seed(1)
    factors = [torch.randn(part.shape, generator=g, dtype=torch.float64) for part in expected]
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.dtype is dtype
        torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance)
    ours, theirs = (
        torch.autograd.grad(sum((a * b).sum() for a, b in zip(both, factors, strict=True)), problem_[:2])
        for both in (got, expected)
    )
    torch.testing.assert_close(ours, theirs, rtol=10 * tolerance, atol=100 * tolerance, check_dtype=False)


def test_gradients_are_those_of_small_differences():
    mean, log_std, noise = problem()
    assert torch.autograd.gradcheck(lambda m, s: squashed_sample(m, s, noise), (mean, log_std))


@pytest.mark.parametrize("part", [0, 1])
def test_one_result_alone_has_its_gradients(part):
    problem_ = problem()
    got = torch.autograd.grad(squashed_sample(*problem_)[part].sum(), problem_[:2])
    expected = torch.autograd.grad(reference(*problem_)[part].sum(), problem_[:2])
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("distance", [5.0, 9.0, 15.0, 50.0])
def test_log_probabilities_are_exact_next_to_a_bound(distance, sign):
    """There the action is rounded to the bound, and 1 - a^2 to nothing."""
    mean = torch.tensor([[sign * distance]], requires_grad=True)
    log_std, noise = torch.zeros(1, 1, requires_grad=True), torch.zeros(1, 1)
    action, log_prob = squashed_sample(mean, log_std, noise)
    # log(1 - tanh(u)^2) = log 4 - 2 |u| - 2 log(1 + exp(-2 |u|))
    far = torch.tensor(2.0 * distance, dtype=torch.float64)
    expected = (
        Normal(0.0, 1.0).log_prob(torch.zeros(1)).double() + far - 4.0**0.5 * torch.log(torch.tensor(2.0).double())
    )
    expected = expected + 2.0 * torch.log1p(torch.exp(-far))
    torch.testing.assert_close(log_prob.double(), expected, rtol=1e-6, atol=1e-6)
    assert abs(float(action.detach())) <= 1.0
    gradient, _ = torch.autograd.grad(log_prob.sum(), (mean, log_std))
    assert float(gradient) == pytest.approx(sign * 2.0, rel=1e-3)  # on and on


def test_in_the_middle_it_is_sb3s():
    mean, log_std, noise = problem(40, 2, torch.float32, scale=0.3)
    actions, log_prob = squashed_sample(mean, log_std, noise)
    theirs = SquashedDiagGaussianDistribution(2).proba_distribution(mean, log_std)
    inside = (actions.abs() < 0.9).all(1)
    assert inside.sum() > 10
    torch.testing.assert_close(log_prob[inside], theirs.log_prob(actions)[inside], rtol=1e-3, atol=1e-3)


def test_the_actor_draws_what_it_says():
    """Log probabilities are those of a density: their mean over samples is its negative entropy."""
    actor = tiny("GruPolicy", clocks()).actor
    with torch.no_grad():
        actor.log_std.weight.zero_()
        actor.log_std.bias.fill_(-0.5)
        latent = torch.randn(1, actor.features_dim).expand(20_000, -1)
        actions, log_prob = actor.action_log_prob(latent)
        assert bool((actions.abs() <= 1.0).all())
        density = torch.histc(actions, 50, -1, 1) / 20_000 * 25
        entropy = -(density * density.clamp(min=1e-9).log()).sum() / 25
    assert float(-log_prob.mean()) == pytest.approx(float(entropy), abs=0.05)
