"""Positions count from the start of the episode, and stay exact however long it is."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jamba_rl.nn import Jamba, JambaConfig
from jamba_rl.nn.episodes import age_after, episode_starts, positions, same_episode
from jamba_rl.nn.positions import LearnedPosition, rotate


@settings(max_examples=50, deadline=None)
@given(age=st.integers(0, 5), resets=st.lists(st.booleans(), min_size=1, max_size=8))
def test_positions_count_as_a_loop_would(age, resets):
    expected, now = [], age
    for reset in resets:
        now = 0 if reset else now
        expected.append(now)
        now += 1
    starts = episode_starts(torch.tensor([age]), torch.tensor([resets]), len(resets))
    assert positions(starts)[0].tolist() == expected
    assert age_after(starts).item() == now
    seen = same_episode(starts, 3)[0]
    for t, position in enumerate(expected):
        assert seen[t].tolist() == [t - s <= position for s in range(-3, len(resets))]


def test_rotation_keeps_lengths_and_makes_scores_depend_on_the_lag_alone():
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, 3, 8, dtype=torch.double)

    def score(at_q, at_k):
        turned = rotate(q, torch.tensor([[at_q]]), 100.0) * rotate(k, torch.tensor([[at_k]]), 100.0)
        return turned.sum(-1)

    assert torch.equal(rotate(q, torch.tensor([[0]]), 100.0), q)
    torch.testing.assert_close(rotate(q, torch.tensor([[7]]), 100.0).norm(dim=-1), q.norm(dim=-1))
    torch.testing.assert_close(score(9, 4), score(105, 100))
    assert not torch.allclose(score(9, 4), score(9, 5))


def test_rotation_is_as_exact_after_a_million_steps_as_at_the_start():
    torch.manual_seed(0)
    x = torch.randn(1, 1, 1, 16)
    for position in (3, 1_000_003):
        at = torch.tensor([[position]])
        error = (rotate(x, at, 10000.0) - rotate(x.double(), at, 10000.0)).abs().max()
        assert error < 1e-6


def test_learned_positions_share_the_last_vector_beyond_the_table():
    layer = LearnedPosition(JambaConfig(d_model=4, position="learned", max_positions=3))
    y, (age,) = layer(torch.zeros(1, 5, 4), layer.initial_state(1), torch.tensor([[False, False, False, False, True]]))
    torch.testing.assert_close(y[0], layer.table.weight[[0, 1, 2, 2, 0]])
    assert age.item() == 1


@pytest.mark.parametrize("position", ["rope", "learned"])
def test_a_stack_knows_positions_only_where_it_was_asked_to(position):
    torch.manual_seed(0)
    config = {"d_model": 16, "pattern": "A", "window": None, "branch_scale": 1.0}
    with_, without = (Jamba(JambaConfig(**config, position=p)).double() for p in (position, "none"))
    x = torch.randn(1, 6, 16, dtype=torch.double)
    shuffled = x[:, [2, 0, 1, 3, 4, 5]]  # what the last step sees is the same set
    torch.testing.assert_close(without(x).hidden[:, -1], without(shuffled).hidden[:, -1])
    assert not torch.allclose(with_(x).hidden[:, -1], with_(shuffled).hidden[:, -1])
