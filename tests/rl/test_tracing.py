"""Agents can be looked into while they act."""

import numpy as np
import pytest

from jamba_rl.nn import trace
from jamba_rl.rl import RecurrentPPO, RecurrentSAC

NETWORK = {"pattern": "MA", "ffn_pattern": "-E", "num_experts": 3, "d_model": 8, "num_heads": 2, "window": 4}


def make(algorithm):
    return algorithm("JambaPolicy", "Pendulum-v1", policy_kwargs={"network": NETWORK}, seed=0, device="cpu")


@pytest.mark.parametrize("algorithm", [RecurrentPPO, RecurrentSAC])
def test_the_trace_of_an_agent_grows_step_by_step_and_an_episode_begins_where_it_says(algorithm):
    model = make(algorithm)
    actor = model.policy if algorithm is RecurrentPPO else model.actor
    rng, memory = np.random.default_rng(0), None
    with trace(actor) as (mamba, attention):
        for t in range(6):
            observations = rng.standard_normal((2, 3)).astype(np.float32)
            _, memory = model.predict(observations, memory, episode_start=np.array([t == 0, t in (0, 3)]))
    assert attention.attention.shape == (2, 6, 2, 4)
    assert attention.experts.shape == (2, 6, 3)
    assert (attention.attention[0, 3] > 0).all()
    assert (attention.attention[1, 3, :, 1:] == 0).all()  # nothing of the episode before
    assert mamba.decay[1, 3].max() == 0 < mamba.decay[0, 3].min()
    assert all(np.array_equal(kept, part) for kept, part in zip(attention.states[-1], memory[-3:], strict=True))


def test_only_what_holds_the_networks_is_traced():
    with pytest.raises(ValueError, match=r"such as model\.policy; was RecurrentPPO"), trace(make(RecurrentPPO)):
        pass
