"""The same logits as transformers' Jamba, from the same weights, in all three forms."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.peers import hf_config, transformers
from jamba_rl.lab.speed.row import Bar, Figures, Row, make_row
from jamba_rl.models import JambaForCausalLM

BAR = Bar(1e-5)
VOCABULARY = 37
BATCH = 2


def parity(effort: Effort, configs: int = 12, longest: int = 200) -> list[Row]:
    """Compare every form of ours with the full forward of theirs, at the weights they begin with.

    :param configs: random configurations, every other one with experts
    :param longest: steps of the first one; the others have fewer
    """
    rows = []
    for i, (form, run) in enumerate(FORMS.items()):

        def measure(run: Callable[..., Tensor] = run, i: int = i) -> Figures:
            cases = []
            for seed in range(configs):
                cases.append(_case(run, seed, longest))
                effort.progress((i + (seed + 1) / configs) / len(FORMS))
            return Figures(max(case["difference"] for case in cases), details={"configurations": cases})

        what = f"largest difference of logits, {form}, {configs} random configurations, T up to {longest}"
        rows.append(make_row("parity", what, "HF Jamba", BAR, measure))
    return rows


def random_sizes(seed: int) -> dict[str, Any]:
    """Draw a small configuration of theirs: any pattern, shared keys, odd widths; experts where the seed is odd."""
    draw = random.Random(seed)
    kv_heads, groups, head_dim = draw.randint(1, 3), draw.randint(1, 3), draw.choice((5, 6, 8, 12))
    attn_period, expert_period, experts = draw.randint(1, 4), draw.randint(1, 3), draw.randint(2, 5)
    with_experts = {
        "num_experts": experts,
        "num_experts_per_tok": draw.randint(1, min(experts, 3)),
        "expert_layer_period": expert_period,
        "expert_layer_offset": draw.randrange(expert_period),
    }
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": kv_heads * groups * head_dim,
        "intermediate_size": draw.randint(20, 90),
        "num_hidden_layers": draw.randint(2, 5),
        "num_attention_heads": kv_heads * groups,
        "num_key_value_heads": kv_heads,
        "attn_layer_period": attn_period,
        "attn_layer_offset": draw.randrange(attn_period),
        "mamba_d_state": draw.choice((4, 7, 16)),
        "mamba_d_conv": draw.randint(2, 4),
        "mamba_expand": draw.randint(1, 2),
        "mamba_dt_rank": draw.choice(("auto", 3)),
        "mamba_conv_bias": draw.random() < 0.7,
        "mamba_proj_bias": draw.random() < 0.3,
    } | (with_experts if seed % 2 else {})


@torch.no_grad()
def _case(run: Callable[..., Tensor], seed: int, longest: int) -> dict[str, Any]:
    sizes = random_sizes(seed)
    draw = random.Random(seed)
    steps = longest if seed == 0 else draw.randint(1, longest)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = transformers().JambaForCausalLM(hf_config(**sizes)).eval()
        ids = torch.randint(VOCABULARY, (BATCH, steps))
    theirs.set_experts_implementation("eager")  # the grouped default of theirs cannot take odd sizes on a CPU
    expected = theirs(input_ids=ids, use_cache=False).logits
    got = run(JambaForCausalLM.from_hf(theirs).eval(), ids, draw)
    difference = float((got - expected).abs().nan_to_num(torch.inf).max())
    return {"T": steps, "difference": difference, "largest logit": float(expected.abs().max()), "sizes": sizes}


def _full(model: JambaForCausalLM, ids: Tensor, draw: random.Random) -> Tensor:
    return model(ids).logits


def _stepwise(model: JambaForCausalLM, ids: Tensor, draw: random.Random) -> Tensor:
    state, logits = model.initial_state(len(ids)), []
    for token in ids.unbind(1):
        out = model.step(token, state)
        state = out.state
        logits.append(out.logits)
    return torch.stack(logits, 1)


def _chunked(model: JambaForCausalLM, ids: Tensor, draw: random.Random) -> Tensor:
    state, logits, start = None, [], 0
    while start < ids.shape[1]:
        length = draw.randint(1, max(1, ids.shape[1] // 3))
        out = model(ids[:, start : start + length], state)
        state = out.state
        logits.append(out.logits)
        start += length
    return torch.cat(logits, 1)


FORMS = {"whole sequence": _full, "step by step": _stepwise, "in chunks": _chunked}
