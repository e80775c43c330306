"""Checkpointing, precision, compilation, first values and parameter groups of a stack."""

import pytest
import torch
from torch import nn

from jamba_rl.nn import Jamba, JambaConfig, parameter_groups

STACK = {"d_model": 16, "pattern": "MAS", "ffn_pattern": "DE-", "window": 5, "d_state": 4, "num_experts": 3}


def made(seed: int = 0, **fields) -> Jamba:
    torch.manual_seed(seed)
    return Jamba(JambaConfig(**STACK | {"branch_scale": 1.0} | fields))


def gradients(model: Jamba, x: torch.Tensor) -> list[torch.Tensor]:
    torch.manual_seed(1)
    out = model(x, reset=torch.arange(x.shape[1]).expand(len(x), -1) == 4)
    (out.hidden.square().sum() * 0.1 + (out.hidden * torch.arange(16)).sum() + out.routing.loss()).backward()
    return [parameter.grad for parameter in model.parameters()]


@pytest.mark.parametrize("fields", [{}, {"dropout": 0.3, "router_jitter": 0.5}])
def test_checkpointing_changes_no_gradient(fields):
    x = torch.randn(3, 8, 16)
    plain, saving = made(**fields), made(**fields, gradient_checkpointing=True)
    for ours, theirs in zip(gradients(saving, x), gradients(plain, x), strict=True):
        torch.testing.assert_close(ours, theirs)


def kept_bytes(model: Jamba, x: torch.Tensor) -> int:
    """What autograd holds on to between forward and backward, parameters aside."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(x).hidden.sum()
    return sum(kept.values())


def test_checkpointing_keeps_less_and_only_in_training():
    x = torch.randn(4, 32, 16, requires_grad=True)
    plain, saving = (
        made(pattern="MMMA", ffn_pattern="D"),
        made(pattern="MMMA", ffn_pattern="D", gradient_checkpointing=True),
    )
    assert kept_bytes(saving, x) < 0.6 * kept_bytes(plain, x)
    assert kept_bytes(saving.eval(), x) == kept_bytes(plain.eval(), x)


@pytest.mark.parametrize("pattern", ["M", "A", "S", "L"])
def test_autocast_computes_in_half_precision_and_remembers_in_single(pattern):
    model = made(pattern=pattern, ffn_pattern="E", num_layers=2)
    x = torch.randn(3, 12, 16)
    exact = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(x)
        after = model.step(x[:, 0], rough.state)
    for part in (*rough.state, *after.state):
        assert part.dtype in (torch.float32, torch.int64)
    assert 0 < (rough.hidden.float() - exact.hidden).abs().max() < 0.15
    rough.hidden.float().sum().backward()
    assert all(parameter.grad.dtype is torch.float32 for parameter in model.parameters() if parameter.grad is not None)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # torch's own
def test_a_compiled_stack_computes_the_same():
    torch.compiler.reset()
    model, x = made(pattern="MA", ffn_pattern="D"), torch.randn(2, 6, 16)
    compiled = torch.compile(model, backend="aot_eager")
    torch.testing.assert_close(compiled(x).hidden, model(x).hidden)
    compiled(x).hidden.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_dropout_is_for_training():
    model, x = made(dropout=0.5), torch.randn(2, 6, 16)
    assert not torch.equal(model(x).hidden, model(x).hidden)
    model.eval()
    assert torch.equal(model(x).hidden, model(x).hidden)


def test_initial_matrices_have_the_asked_spread_and_time_steps_keep_theirs():
    model = made(d_model=64, pattern="MA", ffn_pattern="DE", init_std=0.02, ffn_bias=True, attention_bias=True)
    for name, parameter in model.named_parameters():
        if name.endswith(("in_proj.weight", "qkv_proj.weight", "experts.in_proj", "router.weight", "conv1d.weight")):
            assert parameter.std().item() == pytest.approx(0.02, rel=0.2), name
        if name.endswith(("qkv_proj.bias", "in_proj.bias", "out_bias")):
            assert not parameter.any(), name
    dt = nn.functional.softplus(model.blocks[0].mixer.dt_proj.bias)
    assert 0.99e-2 <= dt.min() < dt.max() <= 1.01
    assert torch.equal(model.blocks[0].mixer_norm.weight, torch.ones(64))


def test_weight_decay_is_for_matrices_only():
    model = made(pattern="MASLG", ffn_pattern="DE-", mamba_norms=True, mamba_bias=True, ffn_bias=True)
    decay, rest = parameter_groups(model, 0.1)
    assert (decay["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed = {names[id(parameter)] for parameter in decay["params"]}
    others = {names[id(parameter)] for parameter in rest["params"]}
    assert decayed | others == set(names.values())
    assert not decayed & others
    for name in decayed:
        assert "proj" in name or "router.weight" in name or "weight_ih" in name or "weight_hh" in name, name
        assert "bias" not in name, name
    for word in ("A_log", ".D", "dt_proj.bias", "norm", "conv1d", "lag_bias", "log_dt", "in_bias", "bias_hh"):
        assert any(word in name for name in others), word
    torch.optim.AdamW([decay, rest]).step()


def test_a_tied_matrix_decays_once_and_a_frozen_one_not_at_all():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5), nn.Linear(5, 5))
    model[1].weight = model[0].weight
    model[2].weight.requires_grad_(False)
    decay, rest = parameter_groups(model, 0.1)
    assert [id(parameter) for parameter in decay["params"]] == [id(model[0].weight)]
    assert len(rest["params"]) == 2
