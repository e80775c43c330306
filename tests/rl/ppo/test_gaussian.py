"""The diagonal Gaussian against torch.distributions."""

import copy

import pytest
import torch
from stable_baselines3.common.distributions import DiagGaussianDistribution
from torch import Tensor, nn
from torch.distributions import Normal

from jamba_rl.rl.ppo.gaussian import DiagGaussian
from tests.nn.scan.problems import needs_kernel

compiles = pytest.mark.skipif(bool(needs_kernel), reason=str(needs_kernel))
SIZES = [(1, 1), (5, 3), (64, 17), (0, 2), (3, 0)]


def problem(rows: int, size: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Means, logarithms of deviations, actions."""
    g = torch.Generator().manual_seed(rows)
    mean = torch.randn(rows, size, generator=g, dtype=torch.float64)
    log_std = torch.randn(size, generator=g, dtype=torch.float64)
    actions = mean + 2.0 * torch.randn(rows, size, generator=g, dtype=torch.float64)
    return mean.to(dtype).requires_grad_(), log_std.to(dtype).requires_grad_(), actions.to(dtype)


def make(mean: Tensor, log_std: Tensor) -> DiagGaussian:
    return DiagGaussian(mean.shape[-1]).proba_distribution(mean, log_std)


def reference(mean: Tensor, log_std: Tensor) -> Normal:
    return Normal(mean.double(), log_std.double().exp())


def assert_same_gradients(ours: Tensor, theirs: Tensor, inputs: tuple[Tensor, ...], tolerance: float = 1e-5) -> None:
    g = torch.Generator().manual_seed(3)
    weights = torch.randn(ours.shape, generator=g)
    got = torch.autograd.grad((ours * weights).sum(), inputs)
    expected = torch.autograd.grad((theirs * weights).sum(), inputs)
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", SIZES)
def test_log_probabilities_and_their_gradients(path, sizes, dtype):
    mean, log_std, actions = problem(*sizes, dtype)
    got, expected = make(mean, log_std).log_prob(actions), reference(mean, log_std).log_prob(actions).sum(1)
    tolerance = 1e-5 if dtype is torch.float32 else 1e-12
    torch.testing.assert_close(got.double(), expected, rtol=tolerance, atol=tolerance)
    assert got.dtype is dtype
    assert_same_gradients(got, expected, (mean, log_std), tolerance)


@pytest.mark.parametrize("sizes", SIZES)
def test_entropy_and_its_gradients(sizes):
    mean, log_std, _ = problem(*sizes)
    got, expected = make(mean, log_std).entropy(), reference(mean, log_std).entropy().sum(1)
    torch.testing.assert_close(got.double(), expected)
    (gradient,) = torch.autograd.grad(got.sum(), log_std)
    assert gradient.tolist() == [float(sizes[0])] * sizes[1]


def test_the_mode_is_the_mean():
    mean, log_std, _ = problem(5, 3)
    assert torch.equal(make(mean, log_std).get_actions(deterministic=True), mean)


def test_samples_have_the_moments_and_gradients_of_the_distribution():
    mean, log_std = torch.tensor([[3.0, -1.0]]).requires_grad_(), torch.tensor([0.5, -2.0]).requires_grad_()
    torch.manual_seed(0)
    samples = make(mean.expand(200_000, 2), log_std).sample()
    torch.testing.assert_close(samples.mean(0), mean[0], rtol=0, atol=0.02)
    torch.testing.assert_close(samples.std(0).log(), log_std, rtol=0, atol=0.01)
    dmean, dlog_std = torch.autograd.grad(samples.square().mean(0).sum(), (mean, log_std))
    torch.testing.assert_close(dmean, 2 * mean, rtol=0.02, atol=0)
    torch.testing.assert_close(dlog_std, 2 * (2 * log_std).exp(), rtol=0.05, atol=0)


def test_samples_are_those_of_sb3_from_the_same_seed():
    mean, log_std, _ = problem(5, 3)
    drawn = []
    for distribution in (DiagGaussian(3), DiagGaussianDistribution(3)):
        torch.manual_seed(1)
        drawn.append(distribution.proba_distribution(mean, log_std).sample())
    torch.testing.assert_close(*drawn)


def test_strides_do_not_matter(path):
    mean, log_std, actions = problem(6, 4)
    weights = torch.randn(2, 6)[0].expand(4, 6).t()[:, 0]
    results = []
    for turn in (Tensor.contiguous, lambda t: t.t().contiguous().t(), lambda t: torch.stack([t, t], 2)[:, :, 1]):
        apart = torch.stack([log_std, log_std], 1)[:, 0] if results else log_std
        log_prob = make(turn(mean), apart).log_prob(turn(actions))
        results.append((log_prob, *torch.autograd.grad(log_prob, (mean, log_std), weights)))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0])


@pytest.mark.parametrize(
    ("mean_shape", "actions_shape", "log_std_shape"),
    [
        ((1, 3), (7, 3), (3,)),
        ((7, 3), (1, 3), (3,)),
        ((7, 3), (3,), (3,)),
        ((3,), (3,), (3,)),
        ((7, 3), (7, 3), (7, 3)),
    ],
)
def test_other_shapes_mean_what_they_mean_in_sb3(path, mean_shape, actions_shape, log_std_shape):
    g = torch.Generator().manual_seed(0)
    shapes = mean_shape, actions_shape, log_std_shape
    mean, actions, log_std = (torch.randn(shape, generator=g) for shape in shapes)
    ours, theirs = (kind(3).proba_distribution(mean, log_std) for kind in (DiagGaussian, DiagGaussianDistribution))
    torch.testing.assert_close(ours.log_prob(actions), theirs.log_prob(actions))
    torch.testing.assert_close(ours.entropy(), theirs.entropy())


def test_actions_of_another_size_are_refused(path):
    mean, log_std, actions = problem(5, 3)
    with pytest.raises((ValueError, RuntimeError)):
        make(mean, log_std).log_prob(actions[:4])


def test_gradients_of_actions_are_not_lost(path):
    mean, log_std, actions = problem(5, 3)
    actions.requires_grad_()
    log_prob = make(mean, log_std).log_prob(actions)
    assert_same_gradients(log_prob, reference(mean, log_std).log_prob(actions).sum(1), (mean, log_std, actions))


def test_numbers_of_lower_precision(path):
    mean, log_std, actions = problem(5, 3)
    expected = reference(mean.bfloat16(), log_std).log_prob(actions).sum(1)
    log_prob = make(mean.bfloat16(), log_std).log_prob(actions)
    torch.testing.assert_close(log_prob.double(), expected, rtol=1e-2, atol=1e-2)
    assert_same_gradients(log_prob, expected, (mean, log_std), 2e-2)


def test_what_is_not_a_number_is_refused():
    mean = torch.zeros(3, 2)
    mean[1, 1] = torch.nan
    with pytest.raises(ValueError, match="not numbers"):
        DiagGaussian(2).proba_distribution(mean, torch.zeros(2))


def test_a_gradient_of_a_gradient_is_refused(path):
    mean, log_std, actions = problem(5, 3)
    weights = torch.ones(5, requires_grad=True)
    log_prob = make(mean, log_std).log_prob(actions)
    (gradient,) = torch.autograd.grad((weights * log_prob).sum(), mean, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_a_copy_is_of_the_same_distribution():
    mean, log_std, actions = (part.detach() for part in problem(5, 3))
    distribution = make(mean, nn.Parameter(log_std))
    torch.testing.assert_close(copy.deepcopy(distribution).log_prob(actions), distribution.log_prob(actions))


@compiles
def test_kernels_compute_both_ways(monkeypatch):
    calls = []
    for name in ("gaussian_forward", "gaussian_backward"):
        function = getattr(__import__("jamba_rl.rl.ppo.gaussian", fromlist=[name]), name)
        monkeypatch.setattr(f"jamba_rl.rl.ppo.gaussian.{name}", _counted(function, name, calls))
    mean, log_std, actions = problem(5, 3)
    make(mean, log_std).log_prob(actions).sum().backward()
    assert calls == ["gaussian_forward", "gaussian_backward"]


def _counted(function, name: str, calls: list[str]):
    def call(*args):
        calls.append(name)
        return function(*args)

    return call
