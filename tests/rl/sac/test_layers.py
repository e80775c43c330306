"""Layers in one step of autograd are the layers one after the other."""

import copy

import pytest
import torch
from torch import nn

from jamba_rl.rl.sac.layers import run_layers
from tests.rl.sac.tiny import clocks, tiny

NETS = {
    "actor": lambda: [nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 6), nn.ReLU()],
    "critic": lambda: [nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 1)],
    "one": lambda: [nn.Linear(5, 3)],
    "one and ReLU": lambda: [nn.Linear(5, 3), nn.ReLU()],
    "nothing": lambda: [],
    "another activation": lambda: [nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1)],
    "norms": lambda: [nn.Linear(5, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 1)],
    "no bias": lambda: [nn.Linear(5, 4, bias=False), nn.ReLU(), nn.Linear(4, 1)],
    "two linear": lambda: [nn.Linear(5, 4), nn.Linear(4, 1)],
    "a leaky one": lambda: [nn.Linear(5, 4), nn.LeakyReLU(), nn.Linear(4, 1)],
}
FUSED = ["actor", "critic", "one", "one and ReLU"]


@pytest.fixture(params=NETS)
def net(request):
    torch.manual_seed(0)
    return nn.Sequential(*NETS[request.param]())


def gradients(y, inputs):
    torch.manual_seed(1)
    return torch.autograd.grad((y * torch.randn_like(y)).sum(), inputs, allow_unused=True)


@pytest.mark.parametrize("rows", [1, 9, 0])
def test_values_and_gradients(net, rows):
    x = torch.randn(rows, 5, requires_grad=True)
    inputs = [x, *net.parameters()]
    torch.testing.assert_close(run_layers(net, x), net(x))
    torch.testing.assert_close(gradients(run_layers(net, x), inputs), gradients(net(x), inputs))


@pytest.mark.parametrize("name", FUSED)
def test_it_is_one_step_where_it_can_be(name):
    net = nn.Sequential(*NETS[name]())
    assert "ReluLayers" in run_layers(net, torch.ones(2, 5)).grad_fn.name()


@pytest.mark.parametrize("name", FUSED)
def test_gradients_are_those_of_small_differences(name):
    torch.manual_seed(0)
    net = nn.Sequential(*NETS[name]()).double()
    x = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    parameters = tuple(net.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: run_layers(net, x), (x, *parameters))


@pytest.mark.parametrize("name", FUSED)
def test_layers_that_do_not_learn_get_no_gradient_and_hand_it_on(name):
    net = nn.Sequential(*NETS[name]())
    x = torch.randn(4, 5, requires_grad=True)
    run_layers(net, x, learns=False).sum().backward()
    assert all(parameter.grad is None for parameter in net.parameters())
    (expected,) = torch.autograd.grad(net(x).sum(), x)
    torch.testing.assert_close(x.grad, expected)
    assert run_layers(net, x.detach(), learns=False).grad_fn is None


def test_layers_that_are_frozen_get_none_either():
    net = nn.Sequential(*NETS["critic"]())
    net[0].requires_grad_(False)
    x = torch.randn(4, 5)
    run_layers(net, x).sum().backward()
    assert net[0].weight.grad is None
    assert net[2].weight.grad is not None
    with torch.no_grad():
        assert not run_layers(net, x).requires_grad


def test_what_comes_in_and_out_may_be_used_elsewhere():
    """A ReLU in place must not change what others read."""
    net = nn.Sequential(*NETS["one and ReLU"]())
    x = torch.randn(4, 5, requires_grad=True)
    before = x.detach().clone()
    y = run_layers(net, x)
    (y.square() + (2.0 * y).relu()).sum().backward()
    assert torch.equal(x.detach(), before)
    got = x.grad.clone()
    x.grad = None
    z = net(x)
    (z.square() + (2.0 * z).relu()).sum().backward()
    torch.testing.assert_close(got, x.grad)


@pytest.mark.parametrize("place", [slice(None), 0, 1, 2])
@pytest.mark.parametrize("kind", ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"])
def test_hooks_are_called(kind, place):
    net, calls = nn.Sequential(*NETS["critic"]()), []
    module = net if place == slice(None) else net[place]
    getattr(module, kind)(lambda *_: calls.append(1))
    run_layers(net, torch.randn(2, 5, requires_grad=True)).sum().backward()
    assert calls == [1]


def test_a_layer_of_ones_own_is_called():
    class Doubled(nn.Linear):
        def forward(self, x):
            return 2.0 * super().forward(x)

    class Own(nn.Sequential):
        def forward(self, x):
            return super().forward(x) + 1.0

    x = torch.randn(3, 5)
    for net in (nn.Sequential(Doubled(5, 2)), Own(nn.Linear(5, 2), nn.ReLU()), nn.Identity()):
        assert torch.equal(run_layers(net, x), net(x))


def test_a_weight_that_moved_in_between_is_noticed():
    net = nn.Sequential(*NETS["critic"]())
    y = run_layers(net, torch.randn(2, 5, requires_grad=True))
    with torch.no_grad():
        net[2].weight.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("layer_norm", [False, True])
def test_critics_are_as_many_nets_on_latents_and_actions(layer_norm):
    model = tiny("GruPolicy", clocks(), {"n_critics": 3, "critic_layer_norm": layer_norm, "net_arch": [8, 6]})
    critic = model.critic
    kinds = [type(layer).__name__ for layer in critic.q_networks[0]]
    norm = ["LayerNorm"] if layer_norm else []
    assert kinds == ["Linear", *norm, "ReLU", "Linear", *norm, "ReLU", "Linear"]
    latents, actions = torch.randn(4, critic.memory.encoder.latent_dim), torch.rand(4, 1)
    values = critic(latents, actions)
    assert values.shape == (4, 3)
    for i, network in enumerate(critic.q_networks):
        torch.testing.assert_close(values[:, i : i + 1], network(torch.cat([latents, actions], 1)))
    apart = [copy.deepcopy(network.state_dict()) for network in critic.q_networks]
    assert not torch.equal(apart[0]["0.weight"], apart[1]["0.weight"])


def test_layer_norm_bounds_the_values_of_actions_far_away():
    options = {"critic_layer_norm": True}
    model, free = (tiny("GruPolicy", clocks(), given) for given in (options, {}))
    for critic, bounded in ((model.critic, True), (free.critic, False)):
        latents = torch.randn(1, critic.memory.encoder.latent_dim)
        with torch.no_grad():
            near, far = (critic(latents, torch.full((1, 1), action)).abs().max() for action in (1e4, 1e6))
        assert (float(far) < 1.01 * float(near)) is bounded
