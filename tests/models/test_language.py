"""A language model by itself."""

import pytest
import torch
import torch.nn.functional as F

from jamba_rl.models import JambaForCausalLM
from jamba_rl.nn import JambaConfig


@pytest.fixture
def model() -> JambaForCausalLM:
    torch.manual_seed(0)
    return JambaForCausalLM(JambaConfig(d_model=32, pattern="MA", ffn_pattern="E", num_experts=4), vocab_size=7)


def test_texts_side_by_side_in_a_row_do_not_see_each_other(model):
    first, second = torch.randint(7, (1, 5)), torch.randint(7, (1, 6))
    reset = torch.zeros(1, 11, dtype=torch.bool)
    reset[0, 5] = True
    packed = model(torch.cat((first, second), 1), None, reset).logits
    alone = torch.cat([model(part).logits for part in (first, second)], 1)
    torch.testing.assert_close(packed, alone)


def test_tied_embeddings_are_one_matrix(model):
    tied = JambaForCausalLM(model.config, 7, tie_embeddings=True)
    assert tied.lm_head.weight is tied.embedding.weight
    assert sum(p.numel() for p in tied.parameters()) == sum(p.numel() for p in model.parameters()) - 7 * 32


def test_it_learns_to_repeat_what_it_saw(model):
    """A copy of ten tokens: nothing but memory can do it."""
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(150):
        half = torch.randint(7, (32, 10), generator=generator)
        ids = half.repeat(1, 2)
        out = model(ids)
        loss = F.cross_entropy(out.logits[:, 9:-1].flatten(0, 1), ids[:, 10:].flatten())
        optimizer.zero_grad()
        (loss + out.routing.loss()).backward()
        optimizer.step()
    assert loss < 0.5 * torch.tensor(7.0).log()


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (torch.zeros(3, dtype=torch.long), ["(batch, time)", "(3,)"]),
        (torch.zeros(1, 3), ["int64", "float32"]),
        (torch.tensor([[0, 7]]), ["0 to 6", "from 0 to 7"]),
        (torch.tensor([[-1, 2]]), ["0 to 6", "from -1 to 2"]),
        (torch.zeros(1, 0, dtype=torch.long), ["not empty"]),
    ],
)
def test_bad_tokens_are_refused(model, ids, words):
    with pytest.raises(ValueError, match=r".") as error:
        model(ids)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: JambaForCausalLM(None, 5), "config must be a JambaConfig, was NoneType"),
        (lambda: JambaForCausalLM({}, 5), "config must be a JambaConfig, was dict"),
        *(
            (lambda size=size: JambaForCausalLM(JambaConfig(), size), "vocab_size")
            for size in (0, "a", 3.5, True, None)
        ),
        *((lambda n=n: JambaForCausalLM(JambaConfig(), 5, max_length=n), "max_length") for n in (0, "9", 2.0)),
        (lambda: JambaForCausalLM.from_layers(9, d_model="16"), "d_model .* was '16'"),
        (lambda: JambaForCausalLM.from_layers(9, dim_feedforward="16"), "dim_feedforward .* was '16'"),
        (lambda: JambaForCausalLM.from_layers(9, d_model=0), "d_model"),
    ],
)
def test_a_model_of_other_kinds_of_arguments_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


IDS = torch.zeros(2, 4, dtype=torch.long)
RESET = torch.zeros(2, 4, dtype=torch.bool)


@pytest.mark.parametrize("limit", [None, 9])
@pytest.mark.parametrize("kind", ["MA", "M"])
@pytest.mark.parametrize(
    ("reset", "words"),
    [
        (RESET[:, 0], r"reset must be torch.bool \(2, 4\)"),
        (RESET[:, :3], r"reset must be torch.bool \(2, 4\)"),
        (RESET.float(), "torch.float32"),
        (RESET.tolist(), "tensor, was list"),
    ],
)
def test_resets_that_do_not_fit_are_said_to_be_that(limit, kind, reset, words):
    model = JambaForCausalLM(JambaConfig(d_model=16, pattern=kind, window=4), 7, max_length=limit)
    with pytest.raises(ValueError, match=words):
        model(IDS, None, reset)
    with pytest.raises(ValueError, match=r"reset must be torch.bool \(2,\)"):
        model.step(IDS[:, 0], None, RESET)
    with pytest.raises(ValueError, match="tensor, was list"):
        model.step(IDS[:, 0], None, [True, False])


@pytest.mark.parametrize("limit", [None, 9])
@pytest.mark.parametrize("kind", ["MA", "M"])
def test_a_state_that_does_not_fit_is_said_to_be_that(limit, kind):
    model = JambaForCausalLM(JambaConfig(d_model=16, pattern=kind, window=4), 7, max_length=limit)
    out = model(IDS)
    for state, words in (
        (out, "state must be a tuple .* was LanguageOutput"),
        (3, "was int"),
        (list(out.state), "was list"),
        (model.initial_state(3), "part 0 of state must be .* (2, .* was .* (3, ".replace("(", r"\(")),
        (out.state[:1], "1 of them"),
    ):
        with pytest.raises(ValueError, match=words):
            model(IDS, state)
        with pytest.raises(ValueError, match=words):
            model.step(IDS[:, 0], state)
