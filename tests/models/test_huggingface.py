"""The same logits as Hugging Face's Jamba, in every form, and the weights there and back."""

import dataclasses
import warnings

import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jamba_rl.models import JambaForCausalLM
from jamba_rl.nn import JambaConfig


@st.composite
def configs(draw):
    """Small models of all shapes: patterns, grouped heads, with and without experts, sizes that are no multiples."""
    heads = draw(st.sampled_from([1, 2, 4, 6]))
    attention, experts = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    return transformers.JambaConfig(
        vocab_size=draw(st.sampled_from([11, 50])),
        hidden_size=heads * draw(st.sampled_from([5, 8, 13])),
        intermediate_size=draw(st.sampled_from([17, 32])),
        num_hidden_layers=draw(st.integers(1, 4)),
        num_attention_heads=heads,
        num_key_value_heads=draw(st.sampled_from([n for n in (1, 2, 3, 6) if heads % n == 0])),
        num_experts=(count := draw(st.sampled_from([1, 3, 4]))),
        num_experts_per_tok=min(count, draw(st.integers(1, 2))),
        attn_layer_period=attention,
        attn_layer_offset=draw(st.integers(0, attention - 1)),
        expert_layer_period=experts,
        expert_layer_offset=draw(st.integers(0, experts - 1)),
        mamba_d_state=draw(st.sampled_from([3, 16])),
        mamba_d_conv=draw(st.integers(2, 4)),
        mamba_expand=draw(st.integers(1, 2)),
        mamba_conv_bias=draw(st.booleans()),
        mamba_proj_bias=draw(st.booleans()),
        tie_word_embeddings=draw(st.booleans()),
    )


def theirs(config, seed: int = 0):
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transformers about itself
        model = transformers.JambaForCausalLM(config).eval()
    model.set_experts_implementation("eager")  # the only one that takes sizes of every kind on a CPU
    return model


def small(**fields):
    return theirs(
        transformers.JambaConfig(
            **{
                "vocab_size": 17, "hidden_size": 12, "intermediate_size": 20, "num_hidden_layers": 3,
                "num_attention_heads": 4, "num_key_value_heads": 2, "num_experts": 3, "attn_layer_period": 2,
                "attn_layer_offset": 1, "mamba_d_state": 4,
            } | fields
        )
    )  # fmt: skip


def logits_in_all_forms(model: JambaForCausalLM, ids: torch.Tensor, chunk: int) -> dict[str, torch.Tensor]:
    state, steps = model.initial_state(len(ids)), []
    for token in ids.unbind(1):
        out = model.step(token, state)
        state = out.state
        steps.append(out.logits)
    state, chunks = None, []
    for part in ids.split(chunk, 1):
        out = model(part, state)
        state = out.state
        chunks.append(out.logits)
    return {"full": model(ids).logits, "stepwise": torch.stack(steps, 1), "chunked": torch.cat(chunks, 1)}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(config=configs(), length=st.integers(1, 40), chunk=st.integers(1, 13), seed=st.integers(0, 9))
@torch.no_grad()
def test_logits_are_the_same_within_1e5_in_full_stepwise_and_in_chunks(config, length, chunk, seed):
    model = theirs(config, seed)
    ids = torch.randint(config.vocab_size, (2, length))
    expected = model(ids, use_cache=False).logits
    for form, logits in logits_in_all_forms(JambaForCausalLM.from_hf(model), ids, chunk).items():
        assert (logits - expected).abs().max() <= 1e-5, form


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(config=configs())
def test_weights_go_there_and_back_in_both_forms(config):
    model = theirs(config)
    ours = JambaForCausalLM.from_hf(model)
    memory = ours.to_hf_state_dict("memory")
    assert memory.keys() == model.state_dict().keys()
    assert all(torch.equal(memory[name], tensor) for name, tensor in model.state_dict().items())
    for form in ("memory", "disk"):
        again = JambaForCausalLM.from_hf(ours.to_hf_state_dict(form), config)
        assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in ours.state_dict().items())


@pytest.mark.parametrize("max_shard_size", ["10GB", "10KB"])
@pytest.mark.parametrize("tied", [False, True])
def test_a_saved_folder_is_read_and_written_as_it_was(tmp_path, max_shard_size, tied):
    model = small(tie_word_embeddings=tied)
    model.save_pretrained(tmp_path, max_shard_size=max_shard_size)
    ours = JambaForCausalLM.from_hf(tmp_path)
    written = ours.to_hf_state_dict("disk")
    from safetensors.torch import load_file, save_file

    save_file(written, tmp_path / "again")
    assert load_file(tmp_path / "again").keys() == written.keys()
    on_disk = {name: tensor for file in tmp_path.glob("*.safetensors") for name, tensor in load_file(file).items()}
    assert any("experts.2.gate_proj" in name for name in on_disk)
    assert written.keys() == on_disk.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in on_disk.items())


def test_a_folder_with_torch_files_is_read_too(tmp_path):
    model = small()
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    assert torch.equal(JambaForCausalLM.from_hf(tmp_path).lm_head.weight, model.lm_head.weight)


def test_what_was_written_runs_in_transformers(tmp_path):
    ours, model = JambaForCausalLM.from_hf(small()), small()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    model.load_state_dict(ours.to_hf_state_dict("memory"))
    ids = torch.randint(17, (2, 9))
    torch.testing.assert_close(model(ids).logits, ours(ids).logits, rtol=1e-4, atol=1e-5)


def test_half_precision_weights_stay_so_but_for_what_sets_the_length_of_memory():
    model = JambaForCausalLM.from_hf(small().bfloat16())
    kinds = {name.rpartition(".")[2]: parameter.dtype for name, parameter in model.named_parameters()}
    assert kinds["A_log"] is kinds["D"] is torch.float32
    assert kinds["weight"] is torch.bfloat16
    out = model(torch.randint(17, (2, 5)))
    assert out.logits.dtype is torch.bfloat16
    assert model.step(torch.tensor([1, 2]), out.state).logits.dtype is torch.bfloat16


def test_double_precision_weights_stay_so():
    source = small().double()
    ids = torch.randint(17, (2, 5))
    ours = JambaForCausalLM.from_hf(source)
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float64}
    assert ours(ids).logits.dtype is torch.float64


def test_the_head_is_what_the_configuration_says():
    model, tied = small(), small(tie_word_embeddings=True)
    weights = dict(model.state_dict())
    with pytest.raises(ValueError, match=r"lm_head\.weight is not the embedding"):
        JambaForCausalLM.from_hf(weights, tied.config)
    weights.pop("lm_head.weight")
    with pytest.raises(ValueError, match=r"lack 'lm_head\.weight'"):
        JambaForCausalLM.from_hf(weights, model.config)
    ours = JambaForCausalLM.from_hf(weights, tied.config)
    assert ours.lm_head.weight is ours.embedding.weight


def test_initial_matrices_of_no_width_are_loaded():
    assert JambaForCausalLM.from_hf(small(initializer_range=0.0)).config.init_std is None


def test_the_loaded_model_trains_on_its_own():
    source = small()
    model = JambaForCausalLM.from_hf(source)
    before = source.lm_head.weight.clone()
    model(torch.randint(17, (2, 9))).logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    with torch.no_grad():
        model.lm_head.weight.zero_()
    assert torch.equal(source.lm_head.weight, before)


@pytest.mark.parametrize(
    ("source", "config", "words"),
    [
        ({}, None, ["config="]),
        ({}, {}, ["lack 'model.embed_tokens.weight'"]),
        ({}, {"model_type": "mamba"}, ["'jamba'", "'mamba'"]),
        ({}, {"hidden_act": "gelu"}, ["'silu'", "'gelu'"]),
        ({}, {"head_dim": 64}, ["128 wide", "64"]),
        ({}, {"attn_layer_offset": 9}, ["attn_offset", "0 to 7", "9"]),
        ({}, {"vocab_size": "17"}, ["vocab_size", "whole number", "'17'"]),
        ({}, {"num_attention_heads": 0}, ["num_attention_heads", "1 or above", "0"]),
        ({}, {"tie_word_embeddings": 1}, ["tie_word_embeddings", "true or false", "1"]),
        ({}, {"mamba_dt_rank": "many"}, ["mamba_dt_rank", "'many'"]),
        ({}, {"initializer_range": "wide"}, ["initializer_range", "a number", "'wide'"]),
        ({}, JambaConfig(), ["config must be", "JambaConfig"]),
        ({}, "config.json", ["config must be", "'config.json'"]),
        ({}, transformers.JambaConfig, ["config must be"]),
        (None, None, ["a model, a folder or a state dict", "None"]),
        (3, {}, ["a model, a folder or a state dict", "3"]),
        ({"a": 3}, {}, ["a state dict of tensors"]),
    ],
)
def test_what_does_not_fit_is_refused(source, config, words):
    with pytest.raises(ValueError, match=r".") as error:
        JambaForCausalLM.from_hf(source, config)
    for word in words:
        assert word in str(error.value)


def test_weights_that_are_missing_left_over_or_misshapen_are_named():
    model = small()
    weights = model.state_dict()
    for change, word in (
        ({"model.layers.0.mamba.bias": torch.zeros(1)}, "mixer.bias"),
        ({"model.layers.7.mamba.D": torch.zeros(1)}, "model.layers.7.mamba.D"),
        ({"model.layers.0.feed_forward.gate_proj.weight": torch.zeros(3, 3)}, "(3, 3)"),
    ):
        with pytest.raises(ValueError, match=r".") as error:
            JambaForCausalLM.from_hf(dict(weights) | change, model.config)
        assert word in str(error.value)
    weights.pop("model.layers.0.input_layernorm.weight")
    with pytest.raises(ValueError, match=r"lack 'model\.layers\.0\.input_layernorm\.weight'; the nearest"):
        JambaForCausalLM.from_hf(weights, model.config)


def test_what_transformers_cannot_say_is_not_written():
    model = JambaForCausalLM(JambaConfig(d_model=16, pattern="MA", ffn_pattern="D", mamba_norms=False), vocab_size=5)
    with pytest.raises(ValueError, match=r"mamba_norms True only"):
        model.to_hf_state_dict()
    with pytest.raises(ValueError, match="'disk' or 'memory'"):
        JambaForCausalLM.from_hf(small()).to_hf_state_dict("disc")


def like_hf(pattern: str, ffn_pattern: str, **fields) -> JambaForCausalLM:
    known = {"mamba_norms": True, "router_weights": "softmax", "num_experts": 2}
    config = JambaConfig(d_model=16, pattern=pattern, ffn_pattern=ffn_pattern, **known | fields)
    return JambaForCausalLM(config, vocab_size=5)


@pytest.mark.parametrize(
    ("pattern", "ffn_pattern", "word"),
    [("MAAM", "D", "attn_layer_period"), ("M", "-", "ffn_pattern"), ("MMM", "DEE", "expert_layer_period")],
)
def test_patterns_without_a_period_are_not_written(pattern, ffn_pattern, word):
    with pytest.raises(ValueError, match=word):
        like_hf(pattern, ffn_pattern, num_layers=len(pattern)).to_hf_state_dict()


def test_only_what_the_pattern_uses_must_fit():
    assert like_hf("MM", "DE").to_hf_state_dict()  # windows and positions of no attention
    assert like_hf("A", "D", mamba_norms=False, window=None, position="none").to_hf_state_dict()
    assert like_hf("MAMA", "DDED", window=None, position="none").to_hf_state_dict()
    for position in ("relative", "learned"):
        with pytest.raises(ValueError, match=r"window None only|position 'none' only"):
            like_hf("MA" if position == "relative" else "MM", "D", position=position).to_hf_state_dict()


def test_a_folder_without_a_model_says_which_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        JambaForCausalLM.from_hf(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        JambaForCausalLM.from_hf(str(tmp_path))


@torch.no_grad()
def test_mamba_weights_give_the_same_logits():
    torch.manual_seed(0)
    config = transformers.MambaConfig(
        vocab_size=17, hidden_size=12, state_size=5, num_hidden_layers=3, conv_kernel=3, time_step_rank=2
    )
    model = transformers.MambaForCausalLM(config).eval()
    ids = torch.randint(17, (2, 30))
    expected = model(ids, use_cache=False).logits
    ours = JambaForCausalLM.from_mamba(model)
    names = {name.replace("embeddings", "embedding"): tensor for name, tensor in model.state_dict().items()}
    for loaded in (ours, JambaForCausalLM.from_mamba(names)):  # the second under mamba_ssm's own names
        for form, logits in logits_in_all_forms(loaded, ids, 7).items():
            assert (logits - expected).abs().max() <= 1e-5, form
    with pytest.raises(ValueError, match="no weights of Mamba"):
        JambaForCausalLM.from_mamba(small())


def small_mamba(**fields):
    torch.manual_seed(0)
    sizes = {"vocab_size": 17, "hidden_size": 12, "state_size": 5, "num_hidden_layers": 2, "time_step_rank": 2}
    return transformers.MambaForCausalLM(transformers.MambaConfig(**sizes | fields)).eval()


@torch.no_grad()
def test_mamba_is_loaded_as_its_configuration_says(tmp_path):
    ids = torch.randint(17, (2, 9))
    for tied in (False, True):
        model = small_mamba(layer_norm_epsilon=0.1, tie_word_embeddings=tied)
        model.save_pretrained(tmp_path)
        for source in (model, tmp_path):
            ours = JambaForCausalLM.from_mamba(source)
            assert ours.config.norm_eps == 0.1
            assert (ours.lm_head.weight is ours.embedding.weight) == tied
            torch.testing.assert_close(ours(ids).logits, model(ids, use_cache=False).logits, rtol=1e-4, atol=1e-5)
    assert JambaForCausalLM.from_mamba(model, norm_eps=0.2).config.norm_eps == 0.2
    ours = JambaForCausalLM.from_mamba(model.state_dict())
    assert ours.config.norm_eps == 1e-5
    assert ours.lm_head.weight is ours.embedding.weight


@dataclasses.dataclass
class SsmConfig:
    """What mamba_ssm keeps, as far as it matters."""

    norm_epsilon: float = 0.3
    tie_embeddings: bool = False


def test_the_words_of_mamba_ssm_are_understood():
    model = small_mamba(tie_word_embeddings=False)
    model.config = SsmConfig()
    ours = JambaForCausalLM.from_mamba(model)
    assert ours.config.norm_eps == 0.3
    model.config = SsmConfig(tie_embeddings=True)
    with pytest.raises(ValueError, match="is not the embedding"):
        JambaForCausalLM.from_mamba(model)


def test_what_is_no_mamba_is_refused():
    for source in (None, 3):
        with pytest.raises(ValueError, match="a model, a folder or a state dict"):
            JambaForCausalLM.from_mamba(source)
    with pytest.raises(ValueError, match="hidden_act must be 'silu', was 'gelu'"):
        JambaForCausalLM.from_mamba(small_mamba(hidden_act="gelu"))
