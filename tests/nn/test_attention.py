"""What attention computes, whatever computes it."""

import pytest
import torch
import torch.nn.functional as F

from jamba_rl.nn import JambaConfig
from jamba_rl.nn.attention import Attention


def layer(**fields) -> Attention:
    torch.manual_seed(0)
    return Attention(JambaConfig(**{"d_model": 16, "pattern": "A", "position": "none"} | fields)).double()


def test_shared_heads_equal_heads_with_equal_weights():
    grouped, full = layer(num_kv_heads=2, window=4), layer(window=4)
    q, k, v = grouped.qkv_proj.weight.split((16, 8, 8))
    repeated = [part.view(2, 4, 16).repeat_interleave(2, 0).flatten(0, 1) for part in (k, v)]
    full.qkv_proj.weight.data = torch.cat((q, *repeated))
    full.out_proj.weight.data = grouped.out_proj.weight.data
    x, reset = torch.randn(2, 9, 16, dtype=torch.double), torch.rand(2, 9) < 0.2
    ours, theirs = (module(x, module.initial_state(2), reset)[0] for module in (grouped, full))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_without_a_window_it_is_causal_attention_over_everything(heads):
    module = layer(num_kv_heads=heads, window=None)
    x = torch.randn(2, 9, 16, dtype=torch.double)
    sizes = (16, 4 * heads, 4 * heads)
    q, k, v = (part.unflatten(-1, (-1, 4)).transpose(1, 2) for part in module.qkv_proj(x).split(sizes, -1))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).transpose(1, 2).reshape(2, 9, 16)
    torch.testing.assert_close(module(x, module.initial_state(2))[0], module.out_proj(y))


def test_a_window_as_long_as_the_episode_is_no_window():
    windowed, whole = layer(window=9, position="rope"), layer(window=None, position="rope")
    x, reset = torch.randn(2, 9, 16, dtype=torch.double), torch.rand(2, 9) < 0.2
    a, b = (module(x, module.initial_state(2), reset)[0] for module in (windowed, whole))
    torch.testing.assert_close(a, b)


def test_without_a_window_the_state_holds_the_longest_running_episode_and_no_more():
    module = layer(window=None)
    x, reset = torch.randn(2, 9, 16, dtype=torch.double), torch.zeros(2, 9, dtype=torch.bool)
    assert module(x, module.initial_state(2), reset)[1][0].shape[1] == 9
    reset[0, 3] = reset[1, 6] = True
    keys, _, age = module(x, module.initial_state(2), reset)[1]
    assert (keys.shape[1], age.tolist()) == (6, [6, 3])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("heads", [2, 4])
@pytest.mark.parametrize("position", ["relative", "rope", "none"])
def test_half_precision_works_as_parameters_and_as_autocast(position, heads, dtype):
    module = layer(position=position, window=4, num_kv_heads=heads)
    x, reset = torch.randn(2, 9, 16, dtype=torch.double), torch.rand(2, 9) < 0.3
    exact = module(x, None, reset)[0]
    with torch.autocast("cpu", dtype):
        cast = module.float()(x.float(), None, reset)[0]
    rough, state = module.to(dtype)(x.to(dtype), None, reset)
    for y in (cast, rough):
        torch.testing.assert_close(y.double(), exact, rtol=0.1, atol=0.05)
    assert module.step(x[:, 0].to(dtype), state)[0].dtype is dtype


@pytest.mark.parametrize("fields", [{"window": 4}, {"window": 4, "num_kv_heads": 2}, {"window": None}])
def test_a_state_is_its_own_memory_and_no_more(fields):
    module = layer(**fields)
    assert len({part.data_ptr() for part in module.initial_state(3) if part.numel()}) >= 2 - (fields["window"] is None)
    reset = torch.zeros(1, 500, dtype=torch.bool)
    reset[:, 490] = True
    for part in module(torch.randn(1, 500, 16, dtype=torch.double), None, reset)[1]:
        assert part.untyped_storage().nbytes() == part.nbytes


def test_shared_heads_cost_no_more_with_every_step():
    """Memory of the graph grows with the sequence, not with its square."""
    module = layer(num_kv_heads=2, window=8).float()

    def kept(steps: int) -> int:
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.nbytes) or t, lambda t: t):
            module(torch.randn(1, steps, 16), None)
        return sum(sizes)

    assert kept(2048) < 5 * kept(512)
