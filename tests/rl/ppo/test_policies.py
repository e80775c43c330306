"""The policies: names, spaces, encoders of actor and critic, optimizer groups, contrib's arguments."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import CombinedExtractor, FlattenExtractor, NatureCNN
from torch import nn

from jamba_rl.nn import JambaConfig
from jamba_rl.rl import JambaPolicy, LstmPolicy, MlpPolicy, RecurrentPPO
from jamba_rl.rl.extractors import SpatialExtractor, default_extractor
from jamba_rl.rl.ppo.policies import POLICIES
from tests.rl.clock import CLASSES, OURS, SMALL, clock_model, collect

BOX = spaces.Box(-1.0, 1.0, (3,), np.float32)
SEPARATE = {**SMALL, "shared_encoder": False}
BLIND = {**SEPARATE, "critic_memory": False}
OPTIONS = [SEPARATE, BLIND, {**SEPARATE, "share_features_extractor": False}, {**SMALL, "previous_action": False}]


def make(cls=JambaPolicy, observations=BOX, actions=BOX, **kwargs):
    return cls(observations, actions, lambda _: 1e-3, **(SMALL if cls is JambaPolicy else {}) | kwargs)


def test_each_name_is_a_backbone():
    patterns = {name: POLICIES[name].default_network.pattern for name in OURS}
    assert patterns == dict(zip(OURS, ["AM", "M", "A", "S", "L", "G", "N"], strict=True))


@pytest.mark.parametrize(
    ("given", "near"), [("JambaPolice", "JambaPolicy"), ("mlp", "MlpPolicy"), ("GRUPolicy", "GruPolicy"), ("", "")]
)
def test_an_unknown_name_is_answered_with_the_nearest(given, near):
    with pytest.raises(ValueError, match=f"Policy {given} unknown; did you mean {near}"):
        RecurrentPPO(given, "Pendulum-v1")


@pytest.mark.parametrize(
    "name", ["CnnPolicy", "MultiInputPolicy", "MlpLstmPolicy", "CnnLstmPolicy", "MultiInputLstmPolicy"]
)
def test_the_names_of_sb3_and_contrib_are_known(name):
    assert POLICIES[name] is (LstmPolicy if "Lstm" in name else JambaPolicy)
    assert RecurrentPPO(name, "Pendulum-v1", device="cpu").policy_class is POLICIES[name]


@pytest.mark.parametrize(
    ("space", "extractor"),
    [
        (BOX, FlattenExtractor),
        (spaces.Discrete(4), FlattenExtractor),
        (spaces.MultiDiscrete([2, 3]), FlattenExtractor),
        (spaces.MultiBinary(4), FlattenExtractor),
        (spaces.Dict({"a": BOX, "b": spaces.Discrete(3)}), CombinedExtractor),
        (spaces.Box(0, 255, (3, 36, 36), np.uint8), NatureCNN),
        (spaces.Box(0, 255, (3, 7, 7), np.uint8), SpatialExtractor),  # too small for NatureCNN
        (spaces.Box(-1, 1, (3, 40, 40), np.float32), FlattenExtractor),
    ],
)
def test_the_extractor_follows_from_the_space(space, extractor):
    policy = make(observations=space, actions=spaces.Discrete(2))
    assert type(policy.features_extractor) is extractor
    observation = space.sample()
    action, state = policy.predict(observation, deterministic=True)
    assert action.shape == ()
    assert policy.predict(observation, state)[0] in (0, 1)


def test_a_box_of_three_dimensions_is_an_image_if_it_is_said_so():
    assert default_extractor(spaces.Box(-1, 1, (3, 40, 40), np.float32), normalize_images=False) is NatureCNN


@pytest.mark.parametrize("kwargs", OPTIONS)
@pytest.mark.parametrize("sequence_length", [1, 8])
def test_windows_reproduce_the_rollout_with_every_option(kwargs, sequence_length):
    model = clock_model(policy_kwargs=kwargs, sequence_length=sequence_length)
    collect(model, rollouts=2)
    for batch in model.rollout_buffer.get(16):
        with torch.no_grad():
            values, log_prob, _ = model.policy.evaluate_actions(batch.observations, batch.actions)
        torch.testing.assert_close(values.flatten(), batch.old_values, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(log_prob, batch.old_log_prob, rtol=1e-5, atol=1e-5)


def test_separate_encoders_have_separate_memories_in_one_state():
    network = {"pattern": "M", "d_model": 16}
    policy, alone = make(shared_encoder=False, network=network), make(network=network)
    parts = len(alone.initial_state(2)) - 1
    state = policy.initial_state(2)
    assert len(state) == 1 + 2 * parts
    critic = make(shared_encoder=False, critic_memory=False, network=network).critic_encoder
    assert [part.shape for part in critic.initial_state(2)] == [(2, 3 + 1)] * 2, "observations: the one before, the sum"
    obs, starts = torch.ones(2, 3), torch.zeros(2, dtype=torch.bool)
    other = (*state[: 1 + parts], *(torch.randn_like(part) for part in state[1 + parts :]))
    actions, values, _, after = policy(obs, state, starts, deterministic=True)
    same, others, _, _ = policy(obs, other, starts, deterministic=True)
    assert torch.equal(actions, same)  # the actor never sees the critic's memory
    assert not torch.allclose(values, others)
    assert all(part.any() for part in after[1:])


def gradients(policy, loss_of):
    """Whether the actor's and the critic's encoder get a gradient."""
    obs, starts = torch.ones(2, 3), torch.zeros(2, dtype=torch.bool)
    policy.zero_grad()
    if loss_of == "actor":
        policy.get_distribution(obs, policy.initial_state(2), starts)[0].log_prob(torch.ones(2, 3)).sum().backward()
    else:
        policy.predict_values(obs, policy.initial_state(2), starts).sum().backward()
    encoders = [policy.encoder, policy.critic_encoder or policy.encoder]
    return [any(p.grad is not None and bool(p.grad.any()) for p in encoder.parameters()) for encoder in encoders]


def test_each_loss_trains_its_own_encoder():
    policy = make(shared_encoder=False)
    assert gradients(policy, "actor") == [True, False]
    assert gradients(policy, "critic") == [False, True]


def test_what_contradicts_is_refused():
    with pytest.raises(ValueError, match="needs shared_encoder=False: one encoder reads one features"):
        make(share_features_extractor=False)
    with pytest.raises(ValueError, match="critic_memory=False needs shared_encoder=False"):
        make(critic_memory=False)
    for ratio in (0.0, -1.0, float("inf")):
        with pytest.raises(ValueError, match="encoder_learning_rate_ratio must be above 0"):
            make(encoder_learning_rate_ratio=ratio)
    with pytest.raises(ValueError, match="must not grow"):
        make(network={"pattern": "A", "window": None, "position": "rope"})


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("kwargs", [{}, {"shared_encoder": False}])
def test_a_policy_saves_and_loads_itself(cls, kwargs, tmp_path):
    policy = make(cls, encoder_learning_rate_ratio=0.5, **kwargs)
    policy.save(tmp_path / "policy")
    loaded = cls.load(tmp_path / "policy", device="cpu")
    assert loaded.network == policy.network
    assert loaded.shared_encoder is policy.shared_encoder
    obs = np.ones((2, 3), np.float32)
    state = other = None
    for _ in range(3):
        action, state = policy.predict(obs, state, deterministic=True)
        same, other = loaded.predict(obs, other, deterministic=True)
        assert np.array_equal(action, same)


def test_a_state_of_another_number_of_envs_is_refused():
    policy = make()
    _, state = policy.predict(np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match="the state is of 2 envs and the observation of 3"):
        policy.predict(np.zeros((3, 3), np.float32), state)


# --- the optimizer


def rates(model):
    """Learning rates of the encoder's parameters and of all others."""
    inside = {id(p) for p in model.policy.encoder.parameters()}
    found: dict[bool, set[float]] = {True: set(), False: set()}
    for group in model.policy.optimizer.param_groups:
        for p in group["params"]:
            found[id(p) in inside].add(group["lr"])
    return found[True], found[False]


def test_the_encoders_learning_rate_keeps_its_ratio_through_training_and_files(tmp_path):
    kwargs = {**SMALL, "encoder_learning_rate_ratio": 0.1}
    model = clock_model(policy_kwargs=kwargs, learning_rate=lambda remaining: remaining * 1e-2).learn(64)
    encoder, rest = rates(model)
    (rate,) = rest
    assert encoder == {rate * 0.1}
    assert rate == pytest.approx(model.lr_schedule(model._current_progress_remaining))
    assert model.logger.name_to_value["train/learning_rate"] == rate
    model.save(tmp_path / "model")
    loaded = RecurrentPPO.load(tmp_path / "model", env=model.get_env(), device="cpu")
    loaded.learn(32, reset_num_timesteps=False)
    encoder, (rate,) = rates(loaded)
    assert encoder == {rate * 0.1}


def test_without_options_the_optimizer_is_sb3s():
    policy = make()
    (group,) = policy.optimizer.param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in policy.parameters()]
    assert group["eps"] == 1e-5


def test_arguments_of_the_optimizer_go_over_the_defaults():
    assert make(optimizer_kwargs={"weight_decay": 0.1}).optimizer.defaults["fused"] is True
    assert make(optimizer_kwargs={"foreach": True}).optimizer.defaults["fused"] is None
    assert make(optimizer_kwargs={"fused": False, "eps": 1e-3}).optimizer.defaults["eps"] == 1e-3


@pytest.mark.parametrize("ratio", [1.0, 0.5])
@pytest.mark.parametrize(
    ("kwargs", "decay"),
    [
        ({"optimizer_kwargs": {"weight_decay": 0.1}}, 0.1),
        ({"optimizer_class": torch.optim.AdamW}, 0.01),  # which it does unasked
    ],
)
def test_weight_decay_shrinks_matrices_alone(kwargs, decay, ratio):
    policy = make(encoder_learning_rate_ratio=ratio, **kwargs)
    decays = {id(p): group["weight_decay"] for group in policy.optimizer.param_groups for p in group["params"]}
    assert set(decays) == {id(p) for p in policy.parameters()}
    for name, parameter in policy.named_parameters():
        matrix = parameter.dim() >= 2 and not any(part in name for part in ("A_log", "conv", "bias"))
        assert decays[id(parameter)] == (decay if matrix else 0.0), name
    mamba = policy.encoder.backbone.blocks[0].mixer
    assert decays[id(mamba.A_log)] == decays[id(mamba.dt_proj.bias)] == decays[id(policy.log_std)] == 0.0


# --- sb3_contrib's arguments


def test_contribs_arguments_shape_the_lstm():
    policy = make(LstmPolicy, lstm_hidden_size=24, n_lstm_layers=2, lstm_kwargs={"dropout": 0.5})
    expected = JambaConfig(pattern="LL", d_model=24, d_hidden=24, dropout=0.5)
    assert policy.network == expected
    assert [type(m) for m in policy.modules() if isinstance(m, nn.LSTM)] == [nn.LSTM] * 2


@pytest.mark.parametrize(
    ("given", "shared", "critic_remembers"),
    [
        ({}, True, True),
        ({"shared_lstm": True, "enable_critic_lstm": False}, True, True),
        ({"shared_lstm": True}, True, True),
        ({"enable_critic_lstm": True}, False, True),
        ({"shared_lstm": False}, False, True),
        ({"enable_critic_lstm": False}, False, False),
        ({"enable_critic_lstm": False, "share_features_extractor": False}, False, False),
    ],
)
def test_contribs_arguments_say_whose_lstm_it_is(given, shared, critic_remembers):
    policy = make(LstmPolicy, lstm_hidden_size=8, **given)
    assert policy.shared_encoder is shared
    critic = policy.critic_encoder or policy.encoder
    assert critic.backbone.config.has_memory is critic_remembers
    values = policy.predict_values(torch.ones(2, 3), policy.initial_state(2), torch.ones(2, dtype=torch.bool))
    assert values.shape == (2, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lstm_kwargs": {"proj_size": 4, "bias": False}}, "'dropout' alone here, not 'bias', 'proj_size'"),
        ({"shared_lstm": True, "enable_critic_lstm": True}, "exclude each other"),
        ({"shared_lstm": True, "shared_encoder": False}, "shared_encoder=False contradicts"),
        ({"lstm_hidden_size": 8, "network": {"pattern": "L"}}, "network=.* contradicts"),
        ({"lstm_hidden_size": 0}, "d_model must be a whole number above 0"),
    ],
)
def test_contribs_arguments_without_a_counterpart_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        make(LstmPolicy, **given)


def test_other_policies_know_no_lstm():
    with pytest.raises(TypeError, match="lstm_hidden_size"):
        make(MlpPolicy, lstm_hidden_size=8)
