"""How long windows are."""

import pytest

from jamba_rl.rl.ppo.windows import window_length
from tests.rl.clock import clock_model


def test_the_default_window_is_the_largest_common_divisor_up_to_64():
    assert window_length(2048, 64) == 64
    assert window_length(5, 7) == 1
    assert window_length(256, 256) == 64


@pytest.mark.parametrize(("given", "length"), [(None, 50), (25, 25)])
def test_a_minibatch_larger_than_the_rollout_is_the_rollout(given, length):
    model = clock_model(n_envs=2, n_steps=50, batch_size=128, sequence_length=given)
    assert model.rollout_buffer.sequence_length == length
    model.learn(100)
    assert len(list(model.rollout_buffer.get(model.batch_size))) == 1
