"""The dense feed-forward against its formula."""

import pytest
import torch
import torch.nn.functional as F

from jamba_rl.nn import JambaConfig
from jamba_rl.nn.feedforward import FeedForward


def test_swiglu_has_its_gate_in_the_first_rows():
    layer = FeedForward(JambaConfig(d_model=8, ffn_mult=1.5))
    x = torch.randn(2, 3, 8)
    gate, up = layer.in_proj.weight[:12], layer.in_proj.weight[12:]
    torch.testing.assert_close(layer(x), (F.silu(x @ gate.T) * (x @ up.T)) @ layer.out_proj.weight.T)


@pytest.mark.parametrize(("act", "function"), [("gelu", F.gelu), ("silu", F.silu)])
def test_without_a_gate_it_is_two_linear_maps_and_a_function(act, function):
    layer = FeedForward(JambaConfig(d_model=8, ffn_mult=1.5, ffn_act=act, ffn_bias=True))
    x = torch.randn(4, 8)
    assert layer.in_proj.weight.shape == (12, 8)
    torch.testing.assert_close(layer(x), layer.out_proj(function(layer.in_proj(x))))


@pytest.mark.parametrize("bias", [False, True])
def test_names_of_its_parameters(bias):
    names = {name for name, _ in FeedForward(JambaConfig(ffn_bias=bias)).named_parameters()}
    biases = {"in_proj.bias", "out_proj.bias"} if bias else set()
    assert names == {"in_proj.weight", "out_proj.weight"} | biases
