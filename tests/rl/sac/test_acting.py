"""What is carried along while experience is collected, and what of it the replay gives back."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv

from tests.rl.clock import OURS, Clock
from tests.rl.noise import Noise
from tests.rl.sac.tiny import StopAt, tiny

KINDS = [(policy, {}) for policy in OURS]
KINDS += [("GruPolicy", {"frames": 3}), ("MlpPolicy", {"frames": 2}), ("LstmPolicy", {"previous_action": False})]
ATTEND = ("JambaPolicy", "AttentionPolicy")  # their states have places that nobody looks at any more


class Named(Clock):
    """A clock each of whose observations is seen once, in one env."""

    def __init__(self, name: int):
        super().__init__(length=5 + 2 * name, truncate=bool(name))
        self.name = name

    def _observe(self):
        return np.array([self.t / 10, (self.episode + 50 * self.name) / 20], np.float32)


class Told(BaseCallback):
    """Per env: episodes of (observation, scaled action, what was carried after them), and the tape of observations."""

    def __init__(self, n_envs):
        super().__init__()
        self.episodes = [[] for _ in range(n_envs)]
        self.tapes = [[] for _ in range(n_envs)]

    def _on_step(self):
        found, model = self.locals, self.model
        for i, (episodes, tape) in enumerate(zip(self.episodes, self.tapes, strict=True)):
            if model._last_episode_starts[i]:
                episodes.append([])
            state = [part[i : i + 1].clone() for part in model._last_state]
            episodes[-1].append((model._last_obs[i].copy(), found["buffer_actions"][i].reshape(-1), state))
            tape.append(model._last_obs[i].tobytes())
            if found["dones"][i]:
                tape.append(found["infos"][i]["terminal_observation"].tobytes())
        return True


def collected(policy, policy_kwargs, steps=90, **kwargs):
    """An agent that has acted, at random first, and learned nothing, and what happened."""
    model = tiny(policy, DummyVecEnv([lambda i=i: Named(i) for i in range(2)]), policy_kwargs, **kwargs)
    told = Told(2)
    model.gradient_steps = 0
    model.learn(steps, callback=told)
    return model, told


@torch.no_grad()
def run_through(memory, episode):
    """Latents and states of an episode out of one pass from its start."""
    observations = torch.as_tensor(np.stack([step[0] for step in episode]))[None]
    actions = torch.as_tensor(np.stack([step[1] for step in episode]), dtype=torch.float32)
    previous = torch.cat([torch.zeros_like(actions[:1]), actions[:-1]])[None, :, : memory.action_dim]
    states, latents = [], None
    for t in range(1, len(episode) + 1):
        encoded = memory.encoder(observations[:, :t], previous[:, :t], memory.initial_state(1), None)
        latents = encoded.latent[0]
        states.append(list(encoded.state))
    return latents, states


@torch.no_grad()
def carried_on(memory, before, episode):
    """Latents of an episode step by step, each out of the memory that was carried until then."""
    latents, last = [], before
    for t, (observation, _, after) in enumerate(episode):
        starts = torch.tensor([t == 0])
        previous = torch.where(starts, 0.0, last[0])
        latents.append(memory.step(torch.as_tensor(observation)[None], previous, tuple(last[1:]), starts).latent[0])
        last = after
    return latents


def assert_close(one, two):
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("policy", "options"), KINDS)
def test_what_is_carried_is_what_a_pass_through_the_episode_leaves(policy, options):
    model, told = collected(policy, options)
    for episodes in told.episodes:
        assert len(episodes) > 4
        for at in (1, -2):  # at random, and of its own will
            latents, states = run_through(model.actor.memory, episodes[at])
            assert_close(carried_on(model.actor.memory, episodes[at - 1][-1][2], episodes[at]), list(latents))
            for (_, action, carried), expected in zip(episodes[at], states, strict=True):
                previous = action if model.policy.previous_action else []
                assert np.array_equal(carried[0][0].numpy(), np.float32(previous))
                if policy not in ATTEND:
                    assert_close(carried[1:], expected)


@pytest.mark.parametrize("noise", [None, NormalActionNoise(np.zeros(1), np.ones(1))])
def test_the_env_receives_what_is_stored_and_carried(noise):
    class Hears(Named):
        def step(self, action):
            heard.append(float(action[0]))
            return super().step(action)

    heard: list[float] = []
    model, told = tiny("JambaPolicy", Hears(0), action_noise=noise), Told(1)
    model.learn(60, callback=told)
    actions = [float(step[1][0]) for episode in told.episodes[0] for step in episode]
    np.testing.assert_allclose(np.float32(heard), 2.0 * np.float32(actions), atol=1e-6)
    assert max(actions[20:]) - min(actions[20:]) > 0.2


def test_warm_up_actions_are_uniform_and_later_ones_are_not():
    model, told = tiny("JambaPolicy", Named(0), learning_starts=200, gradient_steps=0), Told(1)
    with torch.no_grad():
        model.actor.mu.weight.zero_()
        model.actor.mu.bias.fill_(20.0)
    model.learn(400, callback=told)
    actions = np.array([float(step[1][0]) for episode in told.episodes[0] for step in episode])
    np.testing.assert_allclose(np.histogram(actions[:200], 4, (-1, 1))[0], 50, atol=20)
    assert (actions[200:] > 0.99).all()


def oldest(buffer):
    """What was before these frames is written over."""
    first = (buffer.heads - buffer.counts) % buffer.buffer_size
    ages = np.arange(max(buffer.context, 1))
    return {buffer.frames[""][i, (first[i] + k) % buffer.buffer_size].tobytes() for i in range(2) for k in ages}


@pytest.mark.parametrize("buffer_size", [500, 82])
@pytest.mark.parametrize("policy", ["JambaPolicy", "MlpPolicy"])
@pytest.mark.parametrize("stored_state", [False, True])
def test_previous_actions_in_windows_are_those_that_were_carried(policy, buffer_size, stored_state):
    model, told = collected(policy, {"previous_action": True}, 160, buffer_size=buffer_size, stored_state=stored_state)
    before, buffer, compared = {}, model.replay_buffer, 0
    for episodes in told.episodes:
        for episode in episodes:
            previous = 0.0
            for observation, action, _ in episode:
                before[observation.tobytes()], previous = previous, float(action[0])
    for _ in range(20):
        windows = buffer.sample(32).observations
        frames = windows.observations.view(*windows.resets.shape, 2)[:, buffer.context :].numpy()
        for b, t in np.ndindex(8, 5):
            key = frames[b, t].tobytes()
            if key in before:
                expected = {np.float32(before[key])} | (
                    {np.float32(0.0)} if t == 0 and key in oldest(buffer) else set()
                )
                assert windows.previous[b, buffer.context + t, 0].item() in expected
                compared += 1
    assert compared > 20 * 8 * 3


@pytest.mark.parametrize(("steps", "buffer_size", "burn_in"), [(90, 500, 0), (90, 500, 3), (400, 82, 0), (399, 82, 3)])
@pytest.mark.parametrize(("policy", "options"), [*KINDS, ("MambaPolicy", {"shared_encoder": True})])
def test_a_stored_state_is_what_was_carried_and_windows_begin_on_the_grid(policy, options, steps, buffer_size, burn_in):
    model, told = collected(policy, options, steps, buffer_size=buffer_size, stored_state=True, burn_in=burn_in)
    buffer, parts = model.replay_buffer, {"actor": model.actor.memory, "critic": model.critic.memory}
    place, latents, states, firsts = {}, {}, {}, set()
    for episodes, tape in zip(told.episodes, told.tapes, strict=True):
        place |= {key: i for i, key in enumerate(tape)}
        for episode in episodes[-12:]:
            keys = [step[0].tobytes() for step in episode]
            firsts.add(keys[0])
            for name, memory in parts.items():
                outs, after = run_through(memory, episode)
                own = memory.encoder.own_parts
                latents |= {(name, key): out for key, out in zip(keys, outs, strict=True)}
                states |= {(name, key): state[own:] for key, state in zip(keys[1:], after, strict=False)}
    begun, compared = set(), 0
    for _ in range(6):
        batch = buffer.sample(6 * buffer.length)
        windows, c = batch.observations, buffer.context
        frames = windows.observations.view(*windows.resets.shape, 2)[:, c:].numpy()
        begun |= {frames[b, 0].tobytes() for b in range(6)}
        for (name, memory), state in zip(parts.items(), model.policy.states(windows)[:2], strict=True):
            with torch.no_grad():
                seen = memory(windows, state).latent
            for b in range(6):
                key = frames[b, 0].tobytes()
                if windows.resets[b, c] and key not in firsts:
                    assert key in oldest(buffer)
                    continue
                if (name, key) in states and policy not in ATTEND:  # a step, and not the first of an episode
                    assert_close([part[b : b + 1] for part in state], states[name, key])
                for t in batch.mask[b].nonzero().flatten().tolist():
                    assert_close([seen[b, t]], [latents[name, frames[b, t].tobytes()]])
                    compared += 1
    assert {place[key] % 4 for key in begun} == {0}
    assert len(begun) > 6
    assert compared > 2 * 6 * 6 * 2


@pytest.mark.parametrize("options", [{}, {"shared_encoder": True}])
def test_without_stored_states_windows_begin_with_an_empty_memory_anywhere(options):
    model, told = collected("JambaPolicy", options)
    windows = model.replay_buffer.sample(64).observations
    for state in model.policy.states(windows):
        assert len(state) > 2
        assert not any(bool(part.any()) for part in state)
    place = {key: i for tape in told.tapes for i, key in enumerate(tape)}
    frames = windows.observations.view(*windows.resets.shape, 2)[:, model.replay_buffer.context].numpy()
    assert {place[frame.tobytes()] % 4 for frame in frames} == {0, 1, 2, 3}


@pytest.mark.parametrize(("policy", "options"), [("GruPolicy", {"frames": 3}), ("MlpPolicy", {"frames": 3})])
def test_what_is_seen_beside_the_present_is_looked_up_where_no_state_is_stored(policy, options):
    """The first frame of a window sees the frames before it, as it did when it was acted on."""
    model, told = collected(policy, options, 120)
    buffer, encoder, seen = model.replay_buffer, model.actor.memory.encoder, {}
    size = encoder.embed.in_features - model.actor.memory.action_dim
    for episodes in told.episodes:
        for episode in episodes:
            latents, _ = run_through(model.actor.memory, episode)
            keys = (step[0].tobytes() for step in episode)
            seen |= {key: latent[-size:] for key, latent in zip(keys, latents, strict=True)}
    windows = buffer.sample(128).observations
    with torch.no_grad():
        latents = model.actor.memory(windows, model.policy.states(windows)[0]).latent
    frames = windows.observations.view(*windows.resets.shape, 2)[:, buffer.context :].numpy()
    compared = [key in seen for key in (frame.tobytes() for frame in frames[:, 0])]
    for b in np.flatnonzero(compared):
        assert_close([latents[b, 0, -size:]], [seen[frames[b, 0].tobytes()]])
    assert sum(compared) > 16


def test_a_pause_begins_an_episode_anew_even_where_all_observations_look_alike():
    """What a callback stopped is not continued by the next call, in the replay as little as in the memory."""
    model = tiny("JambaPolicy", Noise(observations=spaces.Discrete(1)), gradient_steps=0)
    model.learn(100, callback=StopAt(6))  # five steps are stored
    model.learn(5, callback=StopAt(4))
    tape = model.replay_buffer
    assert tape.begins[0, :9].tolist() == [True, *[False] * 5, True, False, False]
    assert tape.kinds[0, :8].tolist() == [0, 0, 0, 0, 0, 2, 0, 0]
