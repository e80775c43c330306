"""The language model with a state per layer, and the table of its layers."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from jamba_rl.models import DHCJambaConfig, DHCJambaModel, JambaForCausalLM, JambaModel, JambaRLPolicy, layer_table
from jamba_rl.nn import Jamba, JambaConfig
from jamba_rl.nn.accounting import count_parameters, flops_per_token


def make(pattern: str | None = "AMM", **fields) -> JambaModel:
    torch.manual_seed(0)
    known = {"num_heads": 4, "num_kv_heads": 2, "vocab_size": 13, "num_experts": 4, "layer_pattern": pattern}
    return JambaModel(16, 6, **known | fields)


def test_patterns_repeat_and_experts_come_every_n_layers():
    assert make("AMMAMM").config.pattern == "AMMAMM"
    assert make(None).config.pattern == "AMMMAM"
    assert make().config.ffn_pattern == "DEDEDE"
    assert make(moe_every_n=3).config.ffn_pattern == "DDEDDE"
    assert make(moe_every_n=0).config.ffn_pattern == "DDDDDD"


@pytest.mark.parametrize("pattern", ["AMM", "M", "A"])
@pytest.mark.parametrize("position", ["rope", "learned"])
@torch.no_grad()
def test_states_per_layer_carry_all_that_was_read(pattern, position):
    """Stepwise from one, in the seed, differed from the whole: keys were turned twice, convolutions forgot."""
    model = make(pattern, position=position).eval()
    ids = torch.randint(13, (2, 12))
    whole, _ = model(ids)
    states, parts = None, []
    for part in (ids[:, :5], ids[:, 5:6], ids[:, 6:]):
        logits, info = model(part, layer_states=states)
        states = info["layer_states"]
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)
    for letter, layer in zip(model.config.pattern, states, strict=True):
        assert (layer["kv_cache"] is None, layer["state"] is None) == (letter == "M", letter == "A")


def test_empty_states_are_no_states():
    model, ids = make().eval(), torch.randint(13, (2, 5))
    expected, _ = model(ids)
    for states in ([None] * 6, [{"state": None, "kv_cache": None} for _ in range(6)]):
        assert torch.equal(model(ids, layer_states=states)[0], expected)


@pytest.mark.parametrize("mask", [torch.ones(2, 4), torch.ones(2, 4, dtype=torch.bool)])
def test_a_mask_of_no_padding_is_no_mask(mask):
    model, ids = make().eval(), torch.randint(13, (2, 8))
    _, info = model(ids[:, :4])
    expected, _ = model(ids[:, 4:], layer_states=info["layer_states"])
    assert torch.equal(model(ids[:, 4:], mask, info["layer_states"])[0], expected)
    with pytest.raises(ValueError, match=r"mask must be .* \(2, 3\)"):
        model(ids[:, :3], mask)


@pytest.mark.parametrize("coefficient", [None, 0.5])
def test_the_loss_has_the_auxiliary_loss_of_all_layers(coefficient):
    """The source's: language_model_loss + 0.01 * aux_loss."""
    model, ids = make(**{} if coefficient is None else {"balance_coef": coefficient}), torch.randint(13, (4, 9))
    loss, aux = model.loss(ids), model(ids)[1]["total_aux_loss"]
    assert aux > 2.5  # of three layers
    torch.testing.assert_close(loss.routing, (0.01 if coefficient is None else coefficient) * aux)
    torch.testing.assert_close(loss.total, loss.cross_entropy + loss.routing)
    assert make(moe_every_n=0).loss(ids).routing == 0


def test_the_auxiliary_loss_is_one_for_every_layer_that_routes_evenly():
    model, ids = make(), torch.randint(13, (4, 9))
    with torch.no_grad():
        for block in model.lm.backbone.blocks[1::2]:
            block.ffn.router.weight.zero_()
    assert model(ids)[1]["total_aux_loss"].item() == pytest.approx(3.0)


def test_experts_that_were_chosen_can_be_counted():
    _, info = make()(torch.randint(13, (4, 9)))
    assert info["router_decisions"].bincount(minlength=4).sum() == 3 * 4 * 9 * 2


def test_padding_chooses_no_experts_that_count():
    model, ids = make().eval(), torch.randint(13, (1, 7))
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 0]])
    alone = model(ids[:, 2:6])[1]["router_decisions"]
    assert torch.equal(model(ids, mask)[1]["router_decisions"], alone)
    _, info = make(moe_every_n=0)(torch.randint(13, (4, 9)))
    assert len(info["router_decisions"]) == info["total_aux_loss"] == 0


def test_padding_changes_no_logits():
    model, ids = make().eval(), torch.randint(13, (1, 5))
    expected, _ = model(ids)
    padded, mask = torch.cat([ids, ids[:, :2]], 1), torch.tensor([[1, 1, 1, 1, 1, 0, 0]])
    torch.testing.assert_close(model(padded, mask)[0][:, :5], expected, rtol=1e-4, atol=1e-5)
    assert model.loss(padded, mask).cross_entropy.item() == pytest.approx(
        model.loss(ids).cross_entropy.item(), rel=1e-4
    )


def test_it_writes_and_its_embedding_is_its_head():
    model = make()
    assert model.generate(torch.tensor([[1, 2]]), 4, top_k=3).shape == (1, 6)
    assert model.lm.lm_head.weight is model.lm.embedding.weight


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make("AMX"), ["A (attention) and M (Mamba)", "'AMX'"]),
        (lambda: make(""), ["layer_pattern", "''"]),
        (lambda: make(num_heads=3), ["num_heads 3"]),
        (lambda: make(num_kv_heads=3), ["num_kv_heads 3"]),
        (lambda: make(top_k=5), ["top_k 5"]),
        (lambda: make(vocab_size=0), ["vocab_size"]),
        (lambda: make()(torch.tensor([[13]])), ["0 to 12", "13"]),
        (lambda: make(max_length=3)(torch.zeros(1, 4, dtype=torch.long)), ["3 tokens", "has 4"]),
        (lambda: make()(torch.tensor([[1]]), layer_states=[None] * 5), ["6 entries", "5"]),
        (
            lambda: make()(torch.tensor([[1]]), layer_states=[{"state": ()}] + [None] * 5),
            ["layer_states[0]", "kv_cache"],
        ),
        (lambda: make()(torch.tensor([[1]]), torch.tensor([[-1e9]])), ["attention_mask", "0 and 1"]),
        (lambda: make()(torch.tensor([[1]]), [[1]]), ["attention_mask", "tensor"]),
        (lambda: make()([[1]], layer_states=[None] * 6), ["ids", "list"]),
        (lambda: make()(torch.tensor([[1]]), layer_states=3), ["6 entries", "int"]),
        (lambda: make()(torch.tensor([[1]]), layer_states=["a"] * 6), ["layer_states[0]", "dict", "str"]),
        (lambda: make(position="learned")(torch.tensor([[1]]), layer_states=["a"] * 6), ["layer_states[0]", "str"]),
        (lambda: make()(torch.tensor([[1]]), layer_states=[{"kv_cache": 3}] * 6), ["kv_cache of layer_states[0]", "3"]),
        (lambda: make()(torch.tensor([[1]]), layer_states=[{"kv_cache": "abc"}] * 6), ["layer_states[0]", "'abc'"]),
        (lambda: layer_table(torch.nn.Linear(1, 1)), ["Linear has none"]),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ValueError, match=r".") as error:
        call()
    for word in words:
        assert word in str(error.value)


MODELS = {
    "nexus": make,
    "untied": lambda: JambaForCausalLM(JambaConfig(d_model=16, pattern="MAS", ffn_pattern="DE-"), 13),
    "learned": lambda: JambaForCausalLM.from_layers(13, 16, 2, 1, 2, 32, 20),
    "agent": lambda: JambaRLPolicy(3, 1, 16),
    "vision": lambda: DHCJambaModel(),
    "backbone": lambda: Jamba(JambaConfig(pattern="MA", ffn_pattern="E")),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_table_adds_up_to_the_whole_model(name):
    with torch.device("meta"):
        model = MODELS[name]()
    table, counted = layer_table(model, context=100), count_parameters(model)
    assert (table.total.parameters, table.total.active) == (counted.total, counted.active)
    assert table.rest.parameters == counted.total - sum(block.parameters for block in table.blocks)
    for field in ("parameters", "active", "flops", "state_bytes", "kv_bytes"):
        assert getattr(table.total, field) == sum(getattr(row, field) for row in (*table.blocks, table.rest))


@pytest.mark.parametrize(("tokens", "images_per_token"), [("patches", 1 / 64), ("one", 1), ("frames", 1)])
@pytest.mark.parametrize("size", [None, (32, 32)])
def test_convolutions_meet_every_place_of_an_image(tokens, images_per_token, size):
    model = DHCJambaModel(DHCJambaConfig(hidden_dim=4, num_layers=1, num_heads=2, tokens=tokens, image_size=size))
    with FlopCounterMode(display=False) as counter:
        model.spatial_encoder(torch.rand(1, 3, 32, 32))
    biases = 4 * 32 * 32 + 8 * 16 * 16 + 16 * 8 * 8
    expected = (3 * counter.get_total_flops() + 6 * biases) * images_per_token
    (block,), rest = layer_table(model).blocks, layer_table(model).rest
    convolved = model.get_diagnostics()["layers"]["spatial_encoder"]["parameters"]
    assert rest.flops == 6 * (model.num_parameters - block.parameters - convolved) + expected


def test_what_an_image_costs_must_be_known():
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), Jamba(JambaConfig(d_model=8)))
    with pytest.raises(ValueError, match="convolutions="):
        layer_table(model)
    assert layer_table(model, convolutions=7).rest.flops == layer_table(model[1]).rest.flops + 7


def test_memory_in_the_table_is_memory_held():
    model = make("AMM")
    _, info = model(torch.zeros(1, 100, dtype=torch.long))
    for row, layer in zip(model.get_layer_info(100).blocks, info["layer_states"], strict=True):
        held = sum(part.nbytes for part in layer["state"] or layer["kv_cache"])
        assert row.state_bytes + row.kv_bytes == held
        assert (row.kv_bytes > 0) == (row.mixer == "attention")
        if layer["kv_cache"]:
            assert row.kv_bytes == sum(part.nbytes for part in layer["kv_cache"][:2])


def test_a_head_multiplies_and_an_embedding_looks_up():
    tied, untied = (JambaForCausalLM(JambaConfig(d_model=16), 13, tie_embeddings=tie) for tie in (True, False))
    for model in (tied, untied):
        expected = flops_per_token(model.backbone, 10) + 6 * 13 * 16
        assert layer_table(model, 10).total.flops == expected


def test_the_table_prints_a_row_per_layer():
    lines = str(make().get_layer_info()).splitlines()
    assert len(lines) == 2 + 6 + 2
    assert len({len(line) for line in lines}) == 1
    assert "attention" in lines[2]
    assert "experts" in lines[3]
