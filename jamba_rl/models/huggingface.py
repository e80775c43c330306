"""Configuration and weights of Hugging Face's Jamba, there and back.

In memory, ``transformers`` (5 and later) stacks the experts of a layer in two tensors; on disk, and before, each
expert has its own. The order of rows is the same here: gate before up, queries before keys before values.

Letters of the shape suffixes: X experts, F hidden width of an expert, D model width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from jamba_rl.models.weights import Names, take_head
from jamba_rl.nn import JambaConfig
from jamba_rl.nn.patterns import periodic, repeat

FLOAT32 = ("A_log", "D", "dt_proj.bias")  # what half a precision would blur: how long a memory lasts
PROJECTIONS = ("q_proj", "k_proj", "v_proj")
DEFAULTS: dict[str, Any] = {  # of transformers' JambaConfig, for a config.json that leaves them out
    "vocab_size": 65536,
    "tie_word_embeddings": False,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "initializer_range": 0.02,
    "router_aux_loss_coef": 0.001,
    "num_experts_per_tok": 2,
    "num_experts": 16,
    "expert_layer_period": 2,
    "expert_layer_offset": 1,
    "attn_layer_period": 8,
    "attn_layer_offset": 4,
    "mamba_d_state": 16,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_dt_rank": "auto",
    "mamba_conv_bias": True,
    "mamba_proj_bias": False,
}


def read_config(fields: Mapping[str, Any]) -> tuple[JambaConfig, int, bool]:
    """Return our configuration, the size of the vocabulary, and whether the embeddings are tied.

    :param fields: of ``config.json``
    :raises ValueError: the model is another, has what ours lacks, or a field is of the wrong type
    """
    if fields.get("model_type", "jamba") != "jamba":
        raise ValueError(f"model_type must be 'jamba', was {fields['model_type']!r}")
    f = DEFAULTS | {key: value for key, value in fields.items() if value is not None}
    for name, default in DEFAULTS.items():
        _check_type(name, f[name], default)
    heads, width = f["num_attention_heads"], f["hidden_size"]
    if f["hidden_act"] not in ("silu", "swish"):
        raise ValueError(f"hidden_act must be 'silu', as of all published Jamba models; was {f['hidden_act']!r}")
    if f.get("head_dim", width // heads) != width // heads:
        raise ValueError(f"heads must be {width // heads} wide, hidden_size over heads; head_dim was {f['head_dim']}")
    sparse = {"moe_period": f["expert_layer_period"], "moe_offset": f["expert_layer_offset"]}
    rank = {} if f["mamba_dt_rank"] == "auto" else {"dt_rank": f["mamba_dt_rank"]}
    config = JambaConfig.preset(
        "ai21-jamba",
        d_model=width,
        num_layers=f["num_hidden_layers"],
        attn_period=f["attn_layer_period"],
        attn_offset=f["attn_layer_offset"],
        **(sparse if f["num_experts"] > 1 else {"ffn_pattern": "D"}),
        **rank,
        norm_eps=f["rms_norm_eps"],
        init_std=f["initializer_range"] or None,
        d_state=f["mamba_d_state"],
        d_conv=f["mamba_d_conv"],
        expand=f["mamba_expand"],
        conv_bias=f["mamba_conv_bias"],
        mamba_bias=f["mamba_proj_bias"],
        num_heads=heads,
        num_kv_heads=f["num_key_value_heads"],
        ffn_mult=f["intermediate_size"] / width,
        num_experts=f["num_experts"],
        top_k=f["num_experts_per_tok"],
        balance_coef=f["router_aux_loss_coef"],
    )
    return config, f["vocab_size"], f["tie_word_embeddings"]


def read_weights(tensors: Mapping[str, Tensor], config: JambaConfig, tied: bool) -> dict[str, Tensor]:
    """Return the weights under our names; raises ValueError for a name or shape that does not fit."""
    names = Names(tensors)
    embedding = names.take("model.embed_tokens.weight")
    ours = {"embedding.weight": embedding, "backbone.norm.weight": names.take("model.final_layernorm.weight")}
    ours["lm_head.weight"] = take_head(names, embedding, tied)
    for i, (mixer, ffn) in enumerate(zip(config.pattern, config.ffn_pattern, strict=True)):
        theirs, block = f"model.layers.{i}", f"backbone.blocks.{i}"
        ours[f"{block}.mixer_norm.weight"] = names.take(f"{theirs}.input_layernorm.weight", (config.d_model,))
        ours[f"{block}.ffn_norm.weight"] = names.take(f"{theirs}.pre_ff_layernorm.weight", (config.d_model,))
        if mixer == "A":
            ours |= _read_attention(names, f"{theirs}.self_attn", f"{block}.mixer")
        else:
            prefix = f"{theirs}.mamba."
            for name in [name for name in tensors if name.startswith(prefix)]:
                ours[f"{block}.mixer.{name.removeprefix(prefix)}"] = names.take(name)
        read_ffn = _read_experts if ffn == "E" else _read_dense
        ours |= read_ffn(names, f"{theirs}.feed_forward", f"{block}.ffn", config)
    names.finish()
    return {name: _at_least_single(tensor) if name.endswith(FLOAT32) else tensor for name, tensor in ours.items()}


def write_weights(ours: Mapping[str, Tensor], config: JambaConfig, tied: bool, form: str) -> dict[str, Tensor]:
    """Return the weights under Hugging Face's names.

    :param form: ``disk`` (experts one by one, a tied embedding once) or ``memory`` (experts stacked)
    """
    if form not in ("disk", "memory"):
        raise ValueError(f"form must be 'disk' or 'memory', was {form!r}")
    _check_expressible(config)
    theirs = {
        "model.embed_tokens.weight": ours["embedding.weight"],
        "model.final_layernorm.weight": ours["backbone.norm.weight"],
    }
    if form == "memory" or not tied:
        theirs["lm_head.weight"] = ours["lm_head.weight"]
    for i, (mixer, ffn) in enumerate(zip(config.pattern, config.ffn_pattern, strict=True)):
        layer, block = f"model.layers.{i}", f"backbone.blocks.{i}"
        theirs[f"{layer}.input_layernorm.weight"] = ours[f"{block}.mixer_norm.weight"]
        theirs[f"{layer}.pre_ff_layernorm.weight"] = ours[f"{block}.ffn_norm.weight"]
        if mixer == "A":
            theirs |= _write_attention(ours, f"{block}.mixer", f"{layer}.self_attn", config)
        else:
            prefix = f"{block}.mixer."
            for name in [name for name in ours if name.startswith(prefix)]:
                theirs[f"{layer}.mamba.{name.removeprefix(prefix)}"] = ours[name]
        ffn_tensors = {name: ours[name] for name in ours if name.startswith(f"{block}.ffn.")}
        write_ffn = _write_experts if ffn == "E" else _write_dense
        theirs |= write_ffn(ffn_tensors, f"{block}.ffn", f"{layer}.feed_forward", form)
    return theirs


def _check_type(name: str, value: object, default: object) -> None:
    """Raise ValueError unless a field is like the default of its name."""
    if name == "mamba_dt_rank" and value != "auto":
        default = 1
    kind = type(default)
    fits = isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) == (kind is bool)
    lowest = 0 if name.endswith("_offset") else 1
    if not fits or (kind is int and isinstance(value, int) and value < lowest):
        words = {int: f"a whole number, {lowest} or above", float: "a number", bool: "true or false", str: "a string"}
        raise ValueError(f"{name} must be {words[kind]}, was {value!r}")


def _at_least_single(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _read_attention(names: Names, theirs: str, ours: str) -> dict[str, Tensor]:
    parts = [names.take(f"{theirs}.{part}.weight") for part in PROJECTIONS]
    return {
        f"{ours}.qkv_proj.weight": torch.cat(parts),
        f"{ours}.out_proj.weight": names.take(f"{theirs}.o_proj.weight"),
    }


def _write_attention(tensors: Mapping[str, Tensor], ours: str, theirs: str, config: JambaConfig) -> dict[str, Tensor]:
    shared = config.num_kv_heads * config.d_model // config.num_heads
    parts = tensors[f"{ours}.qkv_proj.weight"].split((config.d_model, shared, shared))
    named = {f"{theirs}.{name}.weight": part.clone() for name, part in zip(PROJECTIONS, parts, strict=True)}
    return named | {f"{theirs}.o_proj.weight": tensors[f"{ours}.out_proj.weight"]}


def _read_dense(names: Names, theirs: str, ours: str, config: JambaConfig) -> dict[str, Tensor]:
    shape = (config.d_ffn, config.d_model)
    gate_and_up = [names.take(f"{theirs}.{part}.weight", shape) for part in ("gate_proj", "up_proj")]
    down = names.take(f"{theirs}.down_proj.weight", shape[::-1])
    return {f"{ours}.in_proj.weight": torch.cat(gate_and_up), f"{ours}.out_proj.weight": down}


def _write_dense(tensors: Mapping[str, Tensor], ours: str, theirs: str, form: str) -> dict[str, Tensor]:
    gate, up = (part.clone() for part in tensors[f"{ours}.in_proj.weight"].chunk(2))
    down = tensors[f"{ours}.out_proj.weight"]
    return {f"{theirs}.gate_proj.weight": gate, f"{theirs}.up_proj.weight": up, f"{theirs}.down_proj.weight": down}


def _read_experts(names: Names, theirs: str, ours: str, config: JambaConfig) -> dict[str, Tensor]:
    X, F, D = config.num_experts, config.d_ffn, config.d_model
    router = {f"{ours}.router.weight": names.take(f"{theirs}.router.weight", (X, D))}
    if f"{theirs}.experts.gate_up_proj" in names:
        in_XFD = names.take(f"{theirs}.experts.gate_up_proj", (X, 2 * F, D))
        out_XDF = names.take(f"{theirs}.experts.down_proj", (X, D, F))
    else:
        experts = [_read_dense(names, f"{theirs}.experts.{e}", "", config) for e in range(X)]
        in_XFD = torch.stack([expert[".in_proj.weight"] for expert in experts])
        out_XDF = torch.stack([expert[".out_proj.weight"] for expert in experts])
    return router | {f"{ours}.experts.in_proj": in_XFD, f"{ours}.experts.out_proj": out_XDF}


def _write_experts(tensors: Mapping[str, Tensor], ours: str, theirs: str, form: str) -> dict[str, Tensor]:
    in_XFD, out_XDF = tensors[f"{ours}.experts.in_proj"], tensors[f"{ours}.experts.out_proj"]
    named = {f"{theirs}.router.weight": tensors[f"{ours}.router.weight"]}
    if form == "memory":
        return named | {f"{theirs}.experts.gate_up_proj": in_XFD, f"{theirs}.experts.down_proj": out_XDF}
    for e, (in_FD, out_DF) in enumerate(zip(in_XFD, out_XDF, strict=True)):
        one = {".in_proj.weight": in_FD, ".out_proj.weight": out_DF.clone()}
        named |= _write_dense(one, "", f"{theirs}.experts.{e}", form)
    return named


def _check_expressible(config: JambaConfig) -> None:
    """Raise ValueError for what Hugging Face's Jamba has no word for."""
    for name, common, special, period in (
        ("pattern", "M", "A", "attn_layer_period"),
        ("ffn_pattern", "D", "E", "expert_layer_period"),
    ):
        pattern = getattr(config, name)
        if not set(pattern) <= {common, special}:
            raise ValueError(f"Hugging Face's Jamba has only {common}{special} in {name}, this model {pattern!r}")
        if not _is_periodic(pattern, common, special):
            raise ValueError(f"Hugging Face's Jamba has one {period} and offset, not a {name} of {pattern!r}")
    for name, value in _needed(config).items():
        if getattr(config, name) != value:
            raise ValueError(f"Hugging Face's Jamba has {name} {value!r} only, this model {getattr(config, name)!r}")


def _is_periodic(pattern: str, common: str, special: str) -> bool:
    n = len(pattern)
    first = pattern.find(special) if special in pattern else n  # beyond the last block: nowhere
    return any(repeat(periodic("", common, special, p, first), n) == pattern for p in range(first + 1, n + 2))


def _needed(config: JambaConfig) -> dict[str, Any]:
    """Return what the letters of the patterns must be like."""
    needed: dict[str, Any] = {"ffn_bias": False}
    if "M" in config.pattern:
        needed |= {"mamba_norms": True}
    if "A" in config.pattern:
        needed |= {"attention_bias": False, "window": None}
    if "A" in config.pattern or config.position == "learned":  # which the stack adds, not attention
        needed |= {"position": "none"}
    if "E" in config.ffn_pattern:
        needed |= {"router_weights": "softmax", "expert_act": "swiglu"}
    if "D" in config.ffn_pattern:
        needed |= {"ffn_act": "swiglu"}
    return needed
