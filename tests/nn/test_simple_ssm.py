"""The seeds' simple state-space model: two linear layers."""

import torch
import torch.nn.functional as F

from jamba_rl.nn import Jamba, JambaConfig
from jamba_rl.nn.simple_ssm import SimpleSSM


def test_it_is_two_linear_layers_as_in_the_source():
    """SimpleSSMPolicy of DHC-Jamba-Enhanced: s = update(projection(h)), H to H/2 and back to H, with biases."""
    torch.manual_seed(0)
    layer, x = SimpleSSM(JambaConfig(d_model=8, d_hidden=4, pattern="P")), torch.randn(2, 3, 8)
    projection, update = layer.in_proj, layer.out_proj
    expected = F.linear(F.linear(x, projection.weight, projection.bias), update.weight, update.bias)
    y, state = layer(x, None)
    torch.testing.assert_close(y, expected)
    assert state == layer.initial_state(2) == ()
    # one linear map of half the rank, whatever the number of parameters says
    assert torch.linalg.matrix_rank(update.weight @ projection.weight) == 4


def test_it_remembers_nothing():
    config = JambaConfig(d_model=8, pattern="PP")
    assert not config.has_memory
    assert JambaConfig(d_model=8, pattern="PS").has_memory
    stack, x = Jamba(config), torch.randn(1, 4, 8)
    other = x.clone()
    other[:, :3] += 1.0
    torch.testing.assert_close(stack(x).hidden[:, 3], stack(other).hidden[:, 3])
