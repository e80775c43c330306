"""Windows that follow one another, and the memory that is carried from one to the next."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jamba_rl.rl.sac.replay import SequenceReplayBuffer
from jamba_rl.rl.sequences import Sequences
from tests.rl.clock import Clock
from tests.rl.sac.test_replay import ACTIONS, filled
from tests.rl.sac.tiny import clocks, tiny

LENGTH = 5  # frames of a window of four steps


def begun(buffer: SequenceReplayBuffer, rows: int) -> tuple[list[tuple[int, int]], list[bool]]:
    """Tape and place of the first frame of each window of a batch, and which follow on no other."""
    batch = buffer.sample(4 * rows)
    follows = batch.observations.state[0].flatten().tolist() if batch.observations.state else [0.0] * rows
    buffer.walks.leave((np.ones((rows, 1), np.float32),))
    frames = batch.observations.observations.view(rows, -1, 2)[:, buffer.context].numpy()
    found = [np.argwhere((buffer.frames[""] == frame).all(-1)).tolist() for frame in frames]
    assert all(len(each) == 1 for each in found)
    return [(each[0][0], each[0][1]) for each in found], [not each for each in follows]


def test_a_window_begins_where_the_one_before_it_ended():
    np.random.seed(0)  # noqa: NPY002 (SB3's generator)
    buffer, _ = filled(400, lengths=(5,), sequence_length=4, windows_in_a_row=8)
    last, anew = begun(buffer, 6)
    assert all(anew)
    followed, walks = 0, [1] * 6
    ended = []
    for _ in range(60):
        now, anew = begun(buffer, 6)
        for row in range(6):
            tape, place = last[row]
            if anew[row]:
                ended.append((walks[row], place + 2 * LENGTH > buffer.written[tape]))
                walks[row] = 0
            else:
                assert now[row] == (tape, place + LENGTH)
                followed += 1
            walks[row] += 1
        last = now
    assert followed > 60 * 6 * 0.7
    assert {length for length, early in ended if not early} >= {8}
    assert max(length for length, _ in ended) == 8
    assert len({length for length, early in ended[:6] if not early}) > 2  # the first do not all end at once


def test_walks_are_as_likely_to_begin_anywhere():
    np.random.seed(0)  # noqa: NPY002 (SB3's generator)
    buffer, _ = filled(100, lengths=(5,), sequence_length=4, windows_in_a_row=3)
    seen = np.zeros(buffer.size(), int)
    for _ in range(300):
        for (_, place), _ in zip(*begun(buffer, 8), strict=True):
            seen[place : place + LENGTH] += 1
    middle = seen[LENGTH * 3 : -LENGTH * 3]
    assert middle.min() > 0.6 * middle.mean()
    assert middle.max() < 1.4 * middle.mean()


def test_where_the_tape_was_written_over_a_walk_is_over():
    buffer, _ = filled(60, size=60, lengths=(5,), sequence_length=4, windows_in_a_row=1000)
    begun(buffer, 8)
    number = buffer.walks.next.frames.copy()
    obs = np.array([[0.1, 7.0]], np.float32)
    for step in range(int(1.5 * buffer.buffer_size)):  # round it goes, and the places are there again
        after = obs + np.float32([[0.0, 1.0 + step]])
        buffer.add(obs, after, np.zeros((1, 1)), np.zeros(1), np.zeros(1, bool), [{}])
        obs = after
    assert (number < buffer.written - buffer.counts).all()
    assert all(begun(buffer, 8)[1])


def test_another_number_of_rows_begins_anew():
    buffer, _ = filled(100, lengths=(5,), sequence_length=4, windows_in_a_row=8)
    begun(buffer, 4)
    assert all(begun(buffer, 6)[1])


@pytest.mark.parametrize("options", [{"burn_in": 2}, {"stored_state": True}])
def test_memory_comes_from_one_place(options):
    with pytest.raises(ValueError, match="windows_in_a_row carries the memory from window to window: leave out"):
        SequenceReplayBuffer(
            100, Clock.observation_space, ACTIONS, "cpu", sequence_length=4, windows_in_a_row=2, **options
        )


@pytest.mark.parametrize(
    ("policy", "options"),
    [("JambaPolicy", {}), ("MambaPolicy", {"shared_encoder": True}), ("LstmPolicy", {"frames": 2}), ("MlpPolicy", {})],
)
def test_what_is_carried_is_what_one_pass_through_all_windows_leaves(policy, options):
    """With nothing learned in between."""
    kwargs = {"gradient_steps": 0, "learning_rate": 0.0, "batch_size": 24, "windows_in_a_row": 6}
    model = tiny(policy, clocks(2), options, **kwargs).learn(200)
    parts = {"critic": model.critic.memory, "target": model.critic_target.memory}
    parts |= {} if model.policy.shared_encoder else {"actor": model.actor.memory}
    c, walked, compared = model.replay_buffer.context, [[] for _ in range(6)], 0
    for _ in range(20):
        batch = model.replay_buffer.sample(24)
        before, anew = model.policy.states(batch.observations), model.replay_buffer.walks.anew
        frames = batch.observations.observations.view(*batch.observations.resets.shape, 2)
        for row, walk in enumerate(walked):
            if anew[row]:
                walk.clear()
            first = 0 if not walk else c
            walk.append([frames[row, first:], *(part[row, first:] for part in batch.observations[1:3])])
        for name, memory in parts.items():
            with torch.no_grad():
                latents = memory(batch.observations, getattr(before, name)).latent
            for row, walk in enumerate(walked):
                observations, previous, resets = (torch.cat(part) for part in zip(*walk, strict=True))
                whole = Sequences(observations, previous[None], resets[None], ())
                with torch.no_grad():
                    expected = memory(whole, memory.encoder.backbone.initial_state(1)).latent
                torch.testing.assert_close(latents[row], expected[0, -LENGTH:], rtol=1e-4, atol=1e-5)
                compared += len(walk) > 1
        model._update(batch)
    assert compared > 20 * 6 * 0.5


def test_another_network_begins_anew(tmp_path):
    model = tiny("JambaPolicy", clocks()).learn(72)
    model.save_replay_buffer(tmp_path / "replay")
    same, other = tiny("JambaPolicy", clocks()), tiny("GruPolicy", clocks())
    for agent in (same, other):
        agent.load_replay_buffer(tmp_path / "replay")
    assert same.replay_buffer.sample(8).observations.state
    assert not other.replay_buffer.sample(8).observations.state
    other.learn(32)


@pytest.mark.parametrize(
    ("policy", "kwargs", "expected"),
    [
        ("GruPolicy", {}, 32),
        ("GruPolicy", {"windows_in_a_row": 1}, 1),
        ("GruPolicy", {"burn_in": 2}, 1),
        ("GruPolicy", {"stored_state": True}, 1),
        ("MlpPolicy", {}, 1),
        ("MlpPolicy", {"windows_in_a_row": 4}, 4),
    ],
)
def test_who_has_a_memory_carries_it_on_by_default(policy, kwargs, expected):
    assert tiny(policy, clocks(), **kwargs).replay_buffer.windows_in_a_row == expected
