"""The last frames at once: whole sequences, single steps and episodes agree."""

import pytest
import torch

from jamba_rl.nn import JambaConfig
from jamba_rl.rl.encoder import Encoder
from jamba_rl.rl.frames import FrameStack

NONE = JambaConfig(d_model=8, pattern="N")


def by_hand(x, resets, k):
    """Frames before the first and of other episodes are zero."""
    B, T, F = x.shape
    out = torch.zeros(B, T, k * F)
    for b in range(B):
        for t in range(T):
            for back in range(k):
                if t - back < 0 or (back and resets[b, t - back + 1 : t + 1].any()):
                    break
                out[b, t, (k - 1 - back) * F : (k - back) * F] = x[b, t - back]
    return out


@pytest.mark.parametrize("k", [2, 4])
def test_a_stack_holds_the_last_frames_of_the_episode(k):
    torch.manual_seed(0)
    x, resets = torch.randn(3, 12, 2), torch.rand(3, 12) < 0.3
    stack = FrameStack(2, k)
    stacked, _ = stack(x, stack.initial_state(3, x), resets)
    assert torch.equal(stacked, by_hand(x, resets, k))


@pytest.mark.parametrize("cut", [1, 2, 5, 11])
def test_a_sequence_in_two_parts_or_in_steps_is_the_same(cut):
    torch.manual_seed(1)
    x, resets = torch.randn(3, 12, 2), torch.rand(3, 12) < 0.2
    stack = FrameStack(2, 4)
    whole, last = stack(x, stack.initial_state(3, x), resets)
    first, middle = stack(x[:, :cut], stack.initial_state(3, x), resets[:, :cut])
    second, after = stack(x[:, cut:], middle, resets[:, cut:])
    assert torch.equal(torch.cat([first, second], 1), whole)
    assert torch.equal(after, last)
    state, steps = stack.initial_state(3, x), []
    for t in range(12):
        seen, state = stack.step(x[:, t], state, resets[:, t])
        steps.append(seen)
    assert torch.equal(torch.stack(steps, 1), whole)
    assert torch.equal(state, last)


@pytest.mark.parametrize(("change", "frames", "context"), [(False, 1, 0), (True, 1, 1), (False, 4, 3), (True, 3, 3)])
def test_looking_back_on_the_frames_before_is_as_good_as_having_seen_them(change, frames, context):
    torch.manual_seed(2)
    encoder = Encoder(2, 0, NONE, change, frames=frames)
    assert encoder.context == context
    features, resets = torch.randn(3, 9, 2), torch.rand(3, 9) < 0.2
    previous = features[..., :0]
    whole = encoder(features, previous, encoder.initial_state(3), resets).latent[:, context:]
    own = encoder.look_back(features[:, :context], resets[:, :context]) if context else ()
    state = (*own, *encoder.backbone.initial_state(3))
    late = encoder(features[:, context:], previous[:, context:], state, resets[:, context:]).latent
    torch.testing.assert_close(late, whole)


def test_of_what_is_seen_the_heads_see_all_frames():
    encoder = Encoder(2, 0, NONE, frames=4)
    assert encoder.latent_dim == 8 + 4 * 2
