"""An update is that of SAC, written out; what it must not touch, it does not touch."""

import copy
import itertools

import numpy as np
import pytest
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

from jamba_rl.rl.sac.losses import Choices, Lesson, actor_loss, targets
from tests.rl.clock import Clock
from tests.rl.sac.plain import PlainUpdate
from tests.rl.sac.tiny import clocks, tiny, weights

EXPERTS = {"network": {"pattern": "MA", "num_heads": 2, "window": 8, "d_model": 8, "ffn_pattern": "E",
                       "num_experts": 3, "top_k": 1, "ffn_mult": 1}}  # fmt: skip
BALANCED = {"network": EXPERTS["network"] | {"balance": "bias", "balance_coef": 0.5}}


class Paid(Clock):
    """Every step is worth something else."""

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, reward(self.t - 1), *rest


def reward(time: float) -> float:
    return 0.5 * time - 1.0


def filled(policy="JambaPolicy", options=None, truncate=False, steps=60, **kwargs):
    """An agent that has collected experience and learned nothing."""
    kwargs = {"gradient_steps": 0, "batch_size": 48, "learning_rate": 0.02, "tau": 0.3, "gamma": 0.9} | kwargs
    kwargs |= {"windows_in_a_row": 1}  # what is left to those that follow, test_walks looks at
    options = {"optimizer_class": torch.optim.SGD} | (options or {})
    model = tiny(policy, DummyVecEnv([lambda: Paid(5, truncate)] * 2), options, **kwargs)
    return model.learn(steps)


def seed_all(seed=0):
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (SB3's generator)


UPDATES = [
    ("JambaPolicy", {}, {}),
    ("JambaPolicy", {}, {"truncate": True, "n_steps": 3}),
    ("JambaPolicy", {}, {"n_steps": 3, "sequence_length": 6, "burn_in": 2}),
    ("JambaPolicy", {"shared_encoder": True}, {"burn_in": 1}),
    ("JambaPolicy", {"shared_encoder": True, "encoder_learning_rate_ratio": 0.1}, {"stored_state": True}),
    ("JambaPolicy", EXPERTS, {}),
    ("JambaPolicy", EXPERTS | {"shared_encoder": True}, {}),
    ("JambaPolicy", {"n_critics": 3, "target_critics": 2}, {}),
    ("JambaPolicy", {"n_critics": 1}, {"ent_coef": 0.2}),
    ("MlpPolicy", {"frames": 3}, {"stored_state": True, "n_steps": 2}),
    ("MlpPolicy", {"critic_layer_norm": True, "activation_fn": nn.ReLU}, {"ent_coef": "auto_0.1"}),
    ("GruPolicy", {"activation_fn": nn.Tanh, "encoder_learning_rate_ratio": 0.5}, {"stored_state": True, "burn_in": 3}),
]


@pytest.mark.parametrize(("policy", "options", "kwargs"), UPDATES)
def test_updates_are_those_that_are_written_out(policy, options, kwargs):
    model = filled(policy, options, **kwargs)
    before = weights(model)
    copied = copy.deepcopy(model.policy)
    plain = PlainUpdate(model, copied, reward, 5, not kwargs.get("truncate"))
    seed_all()
    copied.set_training_mode(True)
    losses = []
    for update in range(3):
        batch = model.replay_buffer.sample(48)
        if not update:
            copied.observe(batch.observations)
        losses.append(plain(batch))
    seed_all()
    model.train(3, 48)
    after, expected = weights(model), copied.state_dict()
    for name, value in after.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=2e-6, msg=name)
    assert sum(not torch.equal(value, before[name]) for name, value in after.items()) > 0.8 * len(after)
    for name in losses[0]:
        logged = model.logger.name_to_value[f"train/{name}"]
        assert logged == pytest.approx(np.mean([loss[name] for loss in losses]), rel=1e-4)
    if plain.log_alpha is not None:
        torch.testing.assert_close(model.log_ent_coef.detach(), plain.log_alpha.detach())


@pytest.mark.parametrize("shared", [False, True])
def test_the_actors_loss_moves_the_actor_alone(shared):
    """The critics are rid of their learning rate; what moves then is the actor's, and not a shared memory."""
    model = filled(options={"shared_encoder": shared}, tau=1.0)
    model._update_rates = lambda: None
    for group in model.critic.optimizer.param_groups:
        group["lr"] = 0.0
    before = weights(model)
    model.train(2, 48)
    after = model.policy.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    moved -= {name for name in moved if ".change." in name}
    assert {name.partition(".")[0] for name in moved} == {"actor"}
    assert any(name.startswith("actor.memory.") for name in moved) is not shared
    optimized = {id(p) for group in model.actor.optimizer.param_groups for p in group["params"]}
    assert optimized.isdisjoint(map(id, model.critic.parameters()))


@pytest.mark.parametrize("shared", [False, True])
def test_the_critics_loss_moves_the_critics_alone(shared):
    model = filled(options={"shared_encoder": shared})
    model._update_rates = lambda: None
    for group in model.actor.optimizer.param_groups:
        group["lr"] = 0.0
    before = weights(model)
    model.train(2, 48)
    moved = {name for name, value in model.policy.state_dict().items() if not torch.equal(value, before[name])}
    parts = {name.partition(".")[0] for name in moved if ".change." not in name}
    assert parts == {"critic", "critic_target", *(["actor"] if shared else [])}
    mine = [name for name in moved if name.startswith("actor.") and not name.startswith("actor.memory.")]
    assert all("features_extractor" in name for name in mine)


def test_the_actors_loss_gives_the_critics_no_gradient():
    model = filled()
    batch, policy = model.replay_buffer.sample(48), model.policy
    states = policy.states(batch.observations)
    latents = policy.critic.memory(batch.observations, states[1]).latent[:, :-1]
    latents.retain_grad()
    choices = Choices.of(policy.actor, policy.actor.memory(batch.observations, states[0]).latent[:, :-1])
    actor_loss(Lesson.of(batch, 0), policy.critic, latents, choices, torch.tensor(0.1), 2).backward()
    assert latents.grad is None
    assert all(parameter.grad is None for parameter in policy.critic.parameters())
    assert all(parameter.grad is not None for parameter in policy.actor.parameters())


@pytest.mark.parametrize("believed", [1, 2])
def test_critics_to_believe_are_drawn_for_each_update(believed):
    model = filled(options={"n_critics": 3, "target_critics": believed})
    batch = model.replay_buffer.sample(48)
    lesson, windows, policy = Lesson.of(batch, 0), batch.observations, model.policy
    seen = set()
    with torch.no_grad():
        _, state, _ = policy.states(windows)
        later = policy.critic_target.memory(windows, state).latent
        choices = Choices.of(policy.actor, policy.actor.memory(windows, policy.states(windows)[0]).latent)
        candidates = []
        for drawn in itertools.combinations(range(3), believed):
            part = copy.copy(policy.critic_target)
            part._modules = part._modules | {"q_networks": nn.ModuleList([part.q_networks[i] for i in drawn])}
            candidates.append(targets(lesson, part, later, choices, torch.tensor(0.1), believed))
        for _ in range(30):
            goals = targets(lesson, policy.critic_target, later, choices, torch.tensor(0.1), believed)
            same = [i for i, candidate in enumerate(candidates) if torch.equal(candidate, goals)]
            assert same  # two pairs may have the same lower critic
            seen.update(same)
    assert seen == {0, 1, 2}


@pytest.mark.parametrize("interval", [1, 2])
def test_targets_follow_by_tau_as_often_as_they_shall(interval):
    model = filled(tau=0.25, target_update_interval=interval)
    expected = [parameter.detach().clone() for parameter in model.critic.parameters()]
    follow = model.policy.follow
    rounds = []

    def counted(tau):
        follow(tau)
        rounds.append([parameter.detach().clone() for parameter in model.critic.parameters()])

    model.policy.follow = counted
    model.train(4, 48)
    assert len(rounds) == 4 // interval
    for critics in rounds:
        expected = [0.75 * old + 0.25 * new for old, new in zip(expected, critics, strict=True)]
    for old, target in zip(expected, model.critic_target.parameters(), strict=True):
        torch.testing.assert_close(old, target.detach())
        assert not target.requires_grad


@pytest.mark.parametrize("options", [BALANCED, BALANCED | {"shared_encoder": True}])
def test_targets_choose_experts_as_the_critics_do(options):
    """The biases that balance experts are no parameters, and belong to the weights all the same."""
    model = filled(options=options, tau=1.0)
    model.train(1, 48)
    critic, target = model.critic.state_dict(), model.critic_target.state_dict()
    biases = [name for name in critic if name.endswith("router.bias")]
    assert len(biases) == 2
    for name in biases:
        assert critic[name].any()
        assert torch.equal(critic[name], target[name]), name


class Normed(BaseFeaturesExtractor):
    """Has running statistics, as extractors of others may."""

    def __init__(self, space):
        super().__init__(space, 2)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, observations):
        return self.norm(observations)


def test_running_statistics_go_to_the_targets_as_in_sb3():
    model = filled(options={"features_extractor_class": Normed})
    model.train(2, 48)
    assert model.batch_norm_stats[0].any()
    for ours, theirs in zip(model.batch_norm_stats, model.batch_norm_stats_target, strict=True):
        assert torch.equal(ours, theirs)


def test_the_memories_keep_their_own_rate_through_a_schedule(tmp_path):
    options = {"encoder_learning_rate_ratio": 0.1}
    model = tiny("JambaPolicy", clocks(), options, learning_rate=lambda left: 1e-3 + left).learn(160)
    for part in (model.actor, model.critic):
        inside = set(map(id, part.memory.encoder.parameters()))
        rates = {id(p) in inside: group["lr"] for group in part.optimizer.param_groups for p in group["params"]}
        assert rates == pytest.approx({False: 1e-3, True: 1e-4})
    model.save(tmp_path / "model")
    loaded = type(model).load(tmp_path / "model", env=clocks(), device="cpu").learn(160)
    assert sorted(group["lr"] for group in loaded.critic.optimizer.param_groups) == pytest.approx([1e-4, 1e-3])


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("shared", [False, True])
def test_each_parameter_belongs_to_one_optimizer(shared, decay):
    options = {
        "shared_encoder": shared,
        "encoder_learning_rate_ratio": 0.5,
        "optimizer_kwargs": {"weight_decay": decay},
    }
    model = tiny("JambaPolicy", clocks(), options)
    parts = (model.actor, model.critic)
    found = [id(p) for part in parts for group in part.optimizer.param_groups for p in group["params"]]
    assert len(found) == len(set(found))
    assert set(found) == {id(p) for part in parts for p in part.parameters()}


def test_what_an_observation_usually_changes_by_is_learned_now_and_then():
    model = filled(policy="GruPolicy")
    assert model.critic_target.memory.encoder.change is model.critic.memory.encoder.change
    counts = []
    for _ in range(20):
        model.train(1, 48)
        counts.append((float(model.actor.memory.encoder.change.count), float(model.critic.memory.encoder.change.count)))
    assert [i for i, (one, two) in enumerate(zip([(0.0, 0.0), *counts], counts, strict=False)) if one != two] == [0, 16]
    assert counts[-1][0] == counts[-1][1]
