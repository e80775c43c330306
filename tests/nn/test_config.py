"""What a configuration accepts, and how it refuses the rest."""

import dataclasses
import pickle

import pytest

from jamba_rl.nn import JambaConfig


def test_pattern_and_feed_forward_are_repeated_to_the_number_of_layers():
    config = JambaConfig(pattern="MMMA", num_layers=6, ffn_pattern="D-")
    assert config.pattern == "MMMAMM"
    assert config.ffn_pattern == "D-D-D-"


def test_derived_sizes():
    config = JambaConfig(d_model=40, expand=3)
    assert (config.d_inner, config.dt_rank, config.d_hidden) == (120, 3, 40)


def test_lags_count_once_in_what_was_saved_before_they_could_count_more():
    saved = JambaConfig(d_model=32)
    assert pickle.loads(pickle.dumps(saved)) == saved
    vars(saved).pop("lag_scale")
    assert pickle.loads(pickle.dumps(saved)) == JambaConfig(d_model=32, lag_scale=1.0)


def test_a_configuration_is_frozen_and_comparable():
    config = JambaConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.d_model = 3  # type: ignore[misc]
    assert config == JambaConfig()
    assert config != JambaConfig(window=3)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"pattern": "MXA"}, ["'MXA'", "'X'", "M, A, S, L, G, P, N"]),
        ({"pattern": ""}, ["one letter per block"]),
        ({"ffn_pattern": "F"}, ["'F'", "D, E, -"]),
        ({"d_model": 0}, ["d_model", "above 0", "0"]),
        ({"d_state": True}, ["d_state", "True"]),
        ({"window": -1}, ["window", "-1"]),
        ({"num_heads": 3}, ["num_heads 3", "d_model 64"]),
        ({"position": "relativ"}, ["'relativ'", "did you mean 'relative'"]),
        ({"num_heads": 4, "num_kv_heads": 3}, ["num_kv_heads 3", "num_heads 4"]),
        ({"window": None}, ["'relative'", "window"]),
        ({"position": "rope", "num_heads": 64}, ["'rope'", "even width"]),
        ({"top_k": 9, "ffn_pattern": "E"}, ["top_k 9", "num_experts 8"]),
        ({"expert_act": "relu"}, ["'relu'", "swiglu, gelu, silu"]),
        ({"d_conv": 33}, ["d_conv", "at most 32", "33"]),
        ({"expand": 0.001}, ["expand 0.001", "d_model 64"]),
        ({"ffn_mult": 0.001}, ["ffn_mult 0.001"]),
        ({"window": 2.0}, ["window", "a whole number", "2.0"]),
        ({"dropout": 1.0}, ["dropout", "below 1"]),
        ({"dropout": -0.1}, ["dropout", "-0.1"]),
        ({"mamba_norms": 1}, ["mamba_norms", "True or False"]),
        ({"norm_eps": float("nan")}, ["norm_eps", "nan"]),
        ({"dt_min": 1.5}, ["dt_max 1.0", "dt_min 1.5"]),
        ({"num_layers": 0}, ["num_layers"]),
    ],
)
def test_a_bad_value_is_refused_with_what_was_given_and_what_is_allowed(fields, words):
    with pytest.raises(ValueError, match=r".") as error:
        JambaConfig(**fields)
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)
