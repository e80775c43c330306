"""Writing on from a prompt, and texts of different lengths side by side."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jamba_rl.models import JambaForCausalLM
from jamba_rl.models.padding import to_the_end
from jamba_rl.models.sampling import Sampler
from jamba_rl.nn import JambaConfig

KINDS = {
    "windowed": JambaConfig(d_model=16, pattern="MA", window=5, ffn_pattern="E", num_experts=4),
    "learned": JambaConfig(d_model=16, pattern="MMA", window=None, position="learned", max_positions=40),
    "rope": JambaConfig(d_model=16, pattern="AM", window=None, position="rope", num_kv_heads=2),
    "mamba": JambaConfig(d_model=16, pattern="M"),
}


@pytest.fixture(params=KINDS)
def model(request) -> JambaForCausalLM:
    torch.manual_seed(0)
    made = JambaForCausalLM(KINDS[request.param], vocab_size=13, max_length=40)
    with torch.no_grad():  # untrained models are so undecided that any error would show, or none
        made.lm_head.weight.mul_(30)
    return made


def recomputed(model, ids, count, choose):
    """The same without a cache: everything is read again for every token."""
    for _ in range(count):
        ids = torch.cat([ids, choose(model(ids).logits[:, -1])[:, None]], 1)
    return ids


@torch.no_grad()
def test_cached_generation_is_full_recomputation_token_for_token(model):
    ids = torch.randint(13, (3, 7))
    greedy = model.generate(ids, 20, temperature=0)
    assert torch.equal(greedy, recomputed(model, ids, 20, lambda logits: logits.argmax(-1)))
    for options in ({"temperature": 0.8}, {"top_k": 3}, {"top_p": 0.7}, {"temperature": 2.0, "top_k": 5, "top_p": 0.9}):
        drawn = model.generate(ids, 20, **options, generator=torch.Generator().manual_seed(1))
        again, sampler = torch.Generator().manual_seed(1), Sampler(**options)
        assert torch.equal(drawn, recomputed(model, ids, 20, lambda logits, g=again, s=sampler: s(logits, g)))


def padded(texts, side):
    length = max(map(len, texts)) + 1
    rows, masks = [], []
    for text in texts:
        gap = length - len(text)
        before = {"left": gap, "right": 0, "both": gap // 2}[side]
        rows.append(torch.cat([torch.full((before,), 3), text, torch.full((gap - before,), 5)]))
        masks.append(torch.arange(length).ge(before) & torch.arange(length).lt(before + len(text)))
    return torch.stack(rows), torch.stack(masks)


@pytest.mark.parametrize("side", ["left", "right", "both"])
@torch.no_grad()
def test_padding_changes_neither_logits_nor_state_nor_what_is_written(model, side):
    texts = [torch.randint(13, (length,)) for length in (9, 4, 1)]
    ids, mask = padded(texts, side)
    out = model(ids, mask=mask)
    written = model.generate(ids, 6, temperature=0, mask=mask)
    following = model.step(torch.tensor([1, 2, 3]), out.state).logits
    for row, text in enumerate(texts):
        alone = model(text[None])
        torch.testing.assert_close(out.logits[row][mask[row]], alone.logits[0], rtol=1e-4, atol=1e-5)
        step = model.step(torch.tensor([row + 1]), alone.state).logits[0]
        torch.testing.assert_close(following[row], step, rtol=1e-4, atol=1e-5)
        expected = model.generate(text[None], 6, temperature=0)[0]
        assert torch.equal(written[row, -len(expected) :], expected)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_loss_of_padded_texts_is_that_of_their_tokens(model, side):
    texts = [torch.randint(13, (length,)) for length in (9, 4)]
    ids, mask = padded(texts, side)
    alone = sum(model.loss(text[None]).cross_entropy * (len(text) - 1) for text in texts) / (8 + 3)
    torch.testing.assert_close(model.loss(ids, mask=mask).cross_entropy, alone, rtol=1e-4, atol=1e-5)


def test_the_loss_of_texts_in_a_row_counts_no_first_token(model):
    first, second = torch.randint(13, (1, 6)), torch.randint(13, (1, 4))
    reset = torch.zeros(1, 10, dtype=torch.bool)
    reset[0, 6] = True
    packed = model.loss(torch.cat([first, second], 1), reset).cross_entropy
    alone = (model.loss(first).cross_entropy * 5 + model.loss(second).cross_entropy * 3) / 8
    torch.testing.assert_close(packed, alone, rtol=1e-4, atol=1e-5)


def test_the_loss_has_what_routers_add():
    model = JambaForCausalLM(KINDS["windowed"], vocab_size=13)
    loss = model.loss(torch.randint(13, (2, 9)))
    assert loss.routing > 0
    torch.testing.assert_close(loss.total, loss.cross_entropy + loss.routing)
    assert abs(loss.cross_entropy.item() - math.log(13)) < 0.2  # an untrained model knows nothing


@pytest.mark.parametrize("side", ["left", "right"])
def test_routers_do_not_count_padding(side):
    torch.manual_seed(0)
    model = JambaForCausalLM(KINDS["windowed"], vocab_size=13)
    texts = [torch.randint(13, (6,)) for _ in range(3)]
    ids, mask = padded(texts, side)
    torch.testing.assert_close(model.loss(ids, mask=mask).routing, model.loss(torch.stack(texts)).routing)


def test_a_stop_token_ends_a_text_and_not_the_others(model):
    ids = torch.randint(13, (2, 7))
    free = model.generate(ids, 12, temperature=0)
    stop = int(free[0, 9])
    ended = model.generate(ids, 12, temperature=0, stop=stop)
    for row in range(2):
        new, told = free[row, 7:].tolist(), ended[row, 7:].tolist()
        until = new.index(stop) + 1 if stop in new else 12
        assert told[:until] == new[: min(until, len(told))]
        assert set(told[until:]) <= {stop}


def test_writing_is_without_dropout_and_leaves_the_mode_as_it_was():
    model = JambaForCausalLM(JambaConfig(d_model=16, pattern="MA", window=4, dropout=0.5), vocab_size=13)
    model.backbone.blocks[0].eval()
    ids = torch.randint(13, (1, 5))
    assert torch.equal(model.generate(ids, 9, temperature=0), model.generate(ids, 9, temperature=0))
    assert model.training
    assert [block.training for block in model.backbone.blocks] == [False, True]


def test_gradient_checkpointing_changes_no_gradient():
    gradients = []
    for recompute in (False, True):
        torch.manual_seed(0)
        fields = {"window": 4, "position": "relative", "gradient_checkpointing": recompute}
        model = JambaForCausalLM.from_layers(13, 16, 2, 1, 2, 32, 20, 0.0, **fields)
        model.loss(torch.arange(13)[None]).total.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for kept, recomputed_ in zip(*gradients, strict=True):
        torch.testing.assert_close(kept, recomputed_)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_moving_texts_to_the_end_can_be_undone(batch, length, data):
    starts = [data.draw(st.integers(0, length - 1)) for _ in range(batch)]
    ends = [data.draw(st.integers(start + 1, length)) for start in starts]
    columns = torch.arange(length)
    mask = torch.stack([(columns >= a) & (columns < b) for a, b in zip(starts, ends, strict=True)])
    ids = torch.randint(100, (batch, length))
    moved, moved_mask, reset, back = to_the_end(ids, mask)
    assert torch.equal(moved.gather(1, back), ids)
    for row, (a, b) in enumerate(zip(starts, ends, strict=True)):
        assert torch.equal(moved[row, length - (b - a) :], ids[row, a:b])
        assert moved_mask[row].tolist() == [False] * (length - b + a) + [True] * (b - a)
        assert reset[row].nonzero().flatten().tolist() == [length - b + a]


def test_top_k_and_top_p_cut_the_unlikely():
    logits = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).log().expand(4000, 4)
    generator = torch.Generator().manual_seed(0)

    def shares(**options):
        return Sampler(**options)(logits, generator).bincount(minlength=4) / 4000

    assert shares() == pytest.approx(torch.tensor([0.1, 0.2, 0.3, 0.4]), abs=0.03)
    assert shares(top_k=2) == pytest.approx(torch.tensor([0, 0, 3 / 7, 4 / 7]), abs=0.03)
    assert shares(top_k=9) == pytest.approx(torch.tensor([0.1, 0.2, 0.3, 0.4]), abs=0.03)
    assert shares(top_p=0.69) == pytest.approx(torch.tensor([0, 0, 3 / 7, 4 / 7]), abs=0.03)
    assert shares(top_p=0.75) == pytest.approx(torch.tensor([0, 2 / 9, 3 / 9, 4 / 9]), abs=0.03)
    squared = torch.tensor([0.01, 0.04, 0.09, 0.16]) / 0.3
    assert shares(temperature=0.5) == pytest.approx(squared, abs=0.03)
    assert shares(temperature=1e-30)[3] == shares(temperature=1.2e-38)[3] == 1
    assert shares(temperature=0)[3] == shares(top_p=1e-9)[3] == 1


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_equal_tokens_are_cut_too(top_k):
    drawn = Sampler(top_k=top_k)(torch.zeros(500, 4), torch.Generator().manual_seed(0))
    assert len(drawn.unique()) == top_k


def test_texts_over_the_limit_are_refused(model):
    ids = torch.zeros(1, 41, dtype=torch.long)
    with pytest.raises(ValueError, match=r"40 tokens \(max_length\), this one has 41"):
        model(ids)
    with pytest.raises(ValueError, match=r"40 tokens \(max_length\), this one has 42"):
        model.generate(ids[:, :30], 12)
    assert model.generate(ids[:, :30], 10).shape == (1, 40)
    reset = torch.zeros(1, 41, dtype=torch.bool)
    reset[0, 20] = True
    model(ids, None, reset)  # two texts of 20 and 21
    if "A" in model.config.pattern:  # a state of Mamba alone counts nothing
        state = model(ids[:, :30]).state
        with pytest.raises(ValueError, match="has 41"):
            model(ids[:, :11], state)
        state = model(ids[:, :10], state).state
        with pytest.raises(ValueError, match="has 41"):
            model.step(ids[:, 0], state)
        model.step(ids[:, 0], state, torch.tensor([True]))


def test_a_padded_row_may_be_longer_than_its_text(model):
    mask = torch.zeros(1, 60, dtype=torch.bool)
    mask[0, 15:55] = True
    model(torch.zeros(1, 60, dtype=torch.long), mask=mask)
    mask[0, 14] = True
    with pytest.raises(ValueError, match="has 41"):
        model(torch.zeros(1, 60, dtype=torch.long), mask=mask)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": -1.0}, ["temperature", "-1.0"]),
        ({"temperature": math.nan}, ["temperature", "nan"]),
        ({"temperature": 1e-300}, ["temperature must be 0, or", "1e-300"]),
        ({"temperature": "1"}, ["temperature", "'1'"]),
        ({"temperature": True}, ["temperature", "True"]),
        ({"top_k": 0}, ["top_k", "0"]),
        ({"top_k": 2.0}, ["top_k", "2.0"]),
        ({"top_k": "2"}, ["top_k", "'2'"]),
        ({"top_p": "1"}, ["top_p", "'1'"]),
        ({"stop": 13}, ["stop must be a whole number from 0 to 12", "13"]),
        ({"stop": -1}, ["stop", "-1"]),
        ({"stop": 2.0}, ["stop", "2.0"]),
        ({"top_k": 2.5}, ["top_k", "2.5"]),
        ({"top_p": 0.0}, ["top_p", "0.0"]),
        ({"top_p": 1.1}, ["top_p", "1.1"]),
        ({"max_new_tokens": 0}, ["max_new_tokens", "0"]),
        ({"mask": torch.ones(1, 3)}, ["mask", "torch.bool (1, 4)", "(1, 3)"]),
        ({"mask": torch.zeros(1, 4, dtype=torch.bool)}, ["row 0 has 0"]),
        ({"mask": torch.tensor([[True, False, True, True]])}, ["row 0 has 2"]),
        ({"ids": torch.tensor([[0, 13]])}, ["0 to 12", "from 0 to 13"]),
        ({"ids": [[0, 1]]}, ["ids", "list"]),
    ],
)
def test_what_does_not_fit_is_refused(model, options, words):
    arguments = {"ids": torch.randint(13, (1, 4)), "max_new_tokens": 3} | options
    with pytest.raises(ValueError, match=r".") as error:
        model.generate(**arguments)
    for word in words:
        assert word in str(error.value)


def test_a_mask_goes_with_whole_texts_only(model):
    ids = torch.zeros(1, 3, dtype=torch.long)
    with pytest.raises(ValueError, match="no state and no reset"):
        model(ids, model.initial_state(1), mask=torch.ones(1, 3, dtype=torch.bool))


def test_a_text_of_one_token_has_no_loss(model):
    with pytest.raises(ValueError, match="two tokens"):
        model.loss(torch.zeros(3, 1, dtype=torch.long))


def test_layers_by_count_are_mixed_evenly():
    model = JambaForCausalLM.from_layers(
        vocab_size=100, d_model=16, num_mamba_layers=6, num_transformer_layers=2, nhead=2, dim_feedforward=40,
        max_seq_length=30, dropout=0.2,
    )  # fmt: skip
    config = model.config
    assert (config.pattern, config.ffn_pattern, config.d_ffn, config.num_heads) == ("MMMAMMMA", "D" * 8, 40, 2)
    assert (config.dropout, config.position, config.max_positions) == (0.2, "learned", 30)
    with pytest.raises(ValueError, match="has 31"):
        model(torch.zeros(1, 31, dtype=torch.long))
    with pytest.raises(ValueError, match="both 0"):
        JambaForCausalLM.from_layers(9, num_mamba_layers=0, num_transformer_layers=0)
    with pytest.raises(ValueError, match=r"num_mamba_layers.*-1"):
        JambaForCausalLM.from_layers(9, num_mamba_layers=-1)
    with pytest.raises(ValueError, match="max_length"):
        JambaForCausalLM(JambaConfig(), 9, max_length=0)
