"""Counts against what can be counted by hand, or by torch."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from jamba_rl.nn import Jamba, JambaConfig
from jamba_rl.nn.accounting import cost_table, count_parameters, flops_per_token, measure_peak_flops, mfu


def test_of_the_experts_only_the_chosen_are_active():
    model = Jamba(JambaConfig(d_model=16, pattern="N", ffn_pattern="E", num_experts=8, top_k=2, ffn_mult=2))
    experts = 8 * (2 * 32 * 16 + 16 * 32)
    rest = 8 * 16 + 2 * 16  # router, two norms
    counted = count_parameters(model)
    assert (counted.total, counted.active, counted.embedding) == (experts + rest, experts // 4 + rest, 0)


def test_products_with_parameters_are_counted_as_torch_counts_them():
    model = Jamba(JambaConfig(d_model=32, pattern="N", ffn_pattern="D", num_layers=3))
    with FlopCounterMode(display=False) as counter:
        model(torch.randn(2, 5, 32)).hidden.sum().backward()
    norms = sum(block.ffn_norm.weight.numel() for block in model.blocks) + 32
    ours = flops_per_token(model, 5) - 6 * norms
    assert counter.get_total_flops() == 10 * ours


def test_the_sources_own_sizes_are_met():
    with torch.device("meta"):
        model = Jamba(JambaConfig.preset("ai21-jamba"))
    counted = count_parameters(model)  # 52B of which 12B active, the paper says; 2 x 0.27B of them are embeddings
    assert counted.total / 1e9 == pytest.approx(51.6 - 0.54, abs=0.3)
    assert counted.active / 1e9 == pytest.approx(12.1 - 0.54, abs=0.3)


def test_the_table_has_a_row_per_block_and_adds_up():
    model = Jamba(JambaConfig(d_model=16, pattern="MAS", ffn_pattern="D-E", window=8, num_heads=2))
    rows = cost_table(model, context=100)
    assert [row.kind for row in rows] == ["Mamba + dense", "attention", "linear SSM + experts"]
    assert sum(row.parameters for row in rows) + 16 == count_parameters(model).total
    state = model.initial_state(1)
    assert sum(row.state_bytes for row in rows) == sum(part.nbytes for part in state)


def test_attention_without_a_window_costs_more_with_every_step():
    whole = Jamba(JambaConfig(d_model=16, pattern="A", window=None, position="none", num_kv_heads=1))
    short, long = (cost_table(whole, context)[0] for context in (10, 1000))
    assert long.flops - short.flops == 12 * 16 * 990
    assert long.state_bytes - short.state_bytes == 2 * 990 * 4 * 4
    windowed = Jamba(JambaConfig(d_model=16, pattern="A", window=10))
    assert cost_table(windowed, 10) == cost_table(windowed, 1000)


def test_utilisation_is_a_share_of_the_peak():
    assert mfu(1000.0, 2e6, 1e10) == pytest.approx(0.2)
    assert 1e8 < measure_peak_flops(size=128, repeats=3) < 1e15
    with pytest.raises(ValueError, match="peak must be above 0"):
        mfu(1.0, 1.0, 0.0)
