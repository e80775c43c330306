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


def test_a_vocabulary_has_words():
    with pytest.raises(ValueError, match="vocab_size"):
        JambaForCausalLM(JambaConfig(), 0)
