"""The contract holds for stacks, shapes and resets that nobody thought of."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jamba_rl.nn import Jamba, JambaConfig


@st.composite
def stacks(draw) -> JambaConfig:
    heads = draw(st.sampled_from([1, 2, 4]))
    window = draw(st.sampled_from([1, 2, 5, 16, None]))
    position = draw(st.sampled_from(["rope", "learned", "none", *(["relative"] if window else [])]))
    experts = draw(st.integers(1, 4))
    return JambaConfig(
        d_model=heads * draw(st.sampled_from([2, 6])),
        pattern=draw(st.text("MASLGPN", min_size=1, max_size=4)),
        ffn_pattern=draw(st.text("DE-", min_size=1, max_size=3)),
        d_state=draw(st.integers(1, 5)),
        d_conv=draw(st.integers(1, 5)),
        expand=draw(st.sampled_from([1, 1.5, 2])),
        dt_rank=draw(st.integers(1, 3)),
        mamba_norms=draw(st.booleans()),
        mamba_bias=draw(st.booleans()),
        conv_bias=draw(st.booleans()),
        num_heads=heads,
        num_kv_heads=draw(st.sampled_from([n for n in (1, 2, 4) if heads % n == 0])),
        window=window,
        position=position,
        max_positions=4,
        attention_bias=draw(st.booleans()),
        ffn_act=draw(st.sampled_from(["swiglu", "gelu", "silu"])),
        expert_act=draw(st.sampled_from(["swiglu", "gelu", "silu"])),
        ffn_bias=draw(st.booleans()),
        num_experts=experts,
        top_k=draw(st.integers(1, experts)),
        router_weights=draw(st.sampled_from(["renormalised", "softmax", "raw"])),
        balance=draw(st.sampled_from(["switch", "pooled", "uniform", "bias", "none"])),
        gradient_checkpointing=draw(st.booleans()),
        branch_scale=1.0,
    )


@settings(deadline=None, max_examples=60)
@given(
    config=stacks(),
    batch=st.integers(1, 3),
    length=st.integers(1, 9),
    cut=st.integers(1, 8),
    resets=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 99),
)
def test_whole_in_pieces_and_step_by_step_are_one(config, batch, length, cut, resets, seed):
    torch.manual_seed(seed)
    model = Jamba(config).double()
    x, reset = torch.randn(batch, length, config.d_model).double(), torch.rand(batch, length) < resets
    state = model(torch.randn(batch, 3, config.d_model).double()).state
    whole = model(x, state, reset)
    first = model(x[:, :cut], state, reset[:, :cut])
    pieces = [first.hidden]
    if cut < length:
        pieces.append(model(x[:, cut:], first.state, reset[:, cut:]).hidden)
    steps = []
    for t in range(length):
        out = model.step(x[:, t], state, reset[:, t])
        state = out.state
        steps.append(out.hidden)
    torch.testing.assert_close(torch.cat(pieces, 1), whole.hidden, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(torch.stack(steps, 1), whole.hidden, rtol=1e-9, atol=1e-9)
    for ours, theirs in zip(state, whole.state, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    (whole.hidden.square().sum() + whole.routing.loss()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
