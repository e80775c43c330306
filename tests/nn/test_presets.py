"""Presets say what their sources say."""

import dataclasses

import pytest
import torch

from jamba_rl.nn import Jamba, JambaConfig
from jamba_rl.nn.presets import PRESETS


def attention_blocks(config: JambaConfig) -> list[int]:
    return [i for i, letter in enumerate(config.pattern) if letter == "A"]


def expert_blocks(config: JambaConfig) -> list[int]:
    return [i for i, letter in enumerate(config.ffn_pattern) if letter == "E"]


def test_layers_stand_where_the_sources_put_them():
    preset = JambaConfig.preset
    assert preset("rl") == JambaConfig()
    assert preset("dhc-rl").pattern == "MMMA"
    assert attention_blocks(preset("dhc-vision")) == [7]  # i % 8 == 7
    assert expert_blocks(preset("dhc-vision")) == [1, 3, 5, 7]  # (i + 1) % 2 == 0
    assert attention_blocks(preset("nakshatra")) == [i for i in range(64) if i % 8 == 4]
    assert attention_blocks(preset("nexus", num_layers=8)) == [0, 4]
    assert attention_blocks(preset("ai21-jamba")) == [4, 12, 20, 28]
    assert expert_blocks(preset("ai21-jamba")) == list(range(1, 32, 2))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_runs_at_a_small_size(name):
    config = JambaConfig.preset(name, d_model=32, num_layers=8, num_heads=4, num_kv_heads=2, num_experts=4, d_state=4)
    out = Jamba(config)(torch.randn(2, 6, 32))
    out.routing.loss().backward() if config.balance != "none" and "E" in config.ffn_pattern else None
    assert torch.isfinite(out.hidden).all()


def test_patterns_may_be_said_in_several_ways():
    assert JambaConfig(attn_period=4, attn_offset=1).pattern == "MAMM"
    assert JambaConfig(attn_period=4).pattern == JambaConfig(mamba_ratio=3).pattern == "MMMA"
    assert JambaConfig(mamba_ratio=0).pattern == "A"
    assert JambaConfig(pattern="AMMAMM", num_layers=9).pattern == "AMMAMMAMM"
    assert JambaConfig(pattern="M", num_layers=4, moe_period=2).ffn_pattern == "DEDE"
    assert JambaConfig.preset("ai21-jamba", attn_period=2, num_layers=4).pattern == "MAMA"
    assert JambaConfig.preset("ai21-jamba", ffn_pattern="D", num_layers=2).ffn_pattern == "DD"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: JambaConfig.preset("nexsus"), ["'nexsus'", "did you mean 'nexus'", "nakshatra"]),
        (lambda: JambaConfig.preset("rl", windo=3), ["'windo'", "did you mean 'window'"]),
        (lambda: JambaConfig(attn_period=4, attn_offset=4), ["attn_offset", "0 to 3", "was 4"]),
        (lambda: JambaConfig(moe_period=2, moe_offset=2), ["moe_offset", "0 to 1", "was 2"]),
        (lambda: JambaConfig(attn_offset=1), ["needs attn_period"]),
        (lambda: JambaConfig(pattern="M", mamba_ratio=2), ["one of pattern"]),
        (lambda: JambaConfig(ffn_pattern="D", moe_period=2), ["one of ffn_pattern"]),
        (lambda: JambaConfig(mamba_ratio=-1), ["mamba_ratio", "-1"]),
        (lambda: JambaConfig(attn_period=0), ["attn_period", "0"]),
    ],
)
def test_a_bad_pattern_or_name_is_refused(make, words):
    with pytest.raises(ValueError, match=r".") as error:
        make()
    for word in words:
        assert word in str(error.value)


def test_a_preset_may_be_changed_afterwards():
    config = dataclasses.replace(JambaConfig.preset("dhc-rl"), window=8)
    assert (config.window, config.pattern) == (8, "MMMA")


def test_a_pattern_in_other_words_keeps_the_number_of_layers():
    assert JambaConfig.preset("dhc-vision", mamba_ratio=3).pattern == "MMMAMMMA"
    assert JambaConfig.preset("dhc-rl", attn_period=None, moe_period=None) == JambaConfig.preset("dhc-rl")


def test_a_configuration_goes_through_a_dictionary():
    for name in PRESETS:
        config = JambaConfig.preset(name)
        assert JambaConfig(**dataclasses.asdict(config)) == config
