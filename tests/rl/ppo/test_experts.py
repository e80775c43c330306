"""Mixture of experts inside RecurrentPPO: losses in the loss, balance by bias, the log, nothing in predict."""

import numpy as np
import pytest
import torch

from jamba_rl.nn.router import Routings
from jamba_rl.rl import RecurrentPPO
from jamba_rl.rl.routers import RouterTraining
from tests.rl.clock import clock_model, collect

EXPERTS = {"d_model": 16, "pattern": "MA", "window": 8, "num_heads": 2, "ffn_pattern": "DE", "num_experts": 4}
EXPERTS |= {"ffn_mult": 1, "balance_coef": 0.1, "z_coef": 0.01}
SHARED, SEPARATE = [""], ["", "critic_"]


def expert_model(shared=True, **network) -> RecurrentPPO:
    return clock_model(policy_kwargs={"network": EXPERTS | network, "shared_encoder": shared}, sequence_length=8)


def routers(model) -> dict[str, torch.Tensor]:
    parameters = {name: p for name, p in model.policy.named_parameters() if "router" in name}
    assert parameters
    return parameters


def evaluate(model) -> torch.Tensor:
    """Values of one minibatch, as an update sees them."""
    model.policy.set_training_mode(True)
    batch = next(iter(model.rollout_buffer.get(16)))
    return model.policy.evaluate_actions(batch.observations, batch.actions)[0]


@pytest.mark.parametrize("shared", [True, False])
def test_the_values_carry_the_losses_of_all_routers_with_weight_one(shared, monkeypatch):
    """A loss made of the values alone has as its gradient that of the values plus that of the routers' losses."""
    model = expert_model(shared)
    collect(model)
    losses = []
    loss = Routings.loss
    monkeypatch.setattr(Routings, "loss", lambda self, mask=None: losses.append(loss(self, mask)) or losses[-1])
    torch.manual_seed(0)  # the order of windows
    values = evaluate(model)
    assert len(losses) == (1 if shared else 2)
    parameters = list(routers(model).values())
    alone = torch.autograd.grad(sum(losses), parameters, retain_graph=True)
    assert all(grad.any() for grad in alone)
    carried = torch.autograd.grad(values.sum(), parameters)
    torch.manual_seed(0)
    monkeypatch.setattr(Routings, "loss", lambda self, mask=None: torch.zeros(()))
    plain = torch.autograd.grad(evaluate(model).sum(), parameters, allow_unused=True)
    for total, without, own in zip(carried, plain, alone, strict=True):
        torch.testing.assert_close(total, own if without is None else without + own)


def test_the_losses_do_not_change_what_is_reported_as_the_value():
    model = expert_model()
    collect(model)
    for batch in model.rollout_buffer.get(16):
        values = model.policy.evaluate_actions(batch.observations, batch.actions)[0]
        torch.testing.assert_close(values.flatten(), batch.old_values, rtol=1e-5, atol=1e-5)


def test_an_update_by_sb3_moves_routers_whose_experts_are_all_the_same():
    """With equal experts neither return nor entropy depends on the choice: only the routers' losses move them."""
    model = expert_model(balance_coef=1.0)
    for module in model.policy.encoder.backbone.blocks[1].ffn.experts.parameters():
        module.data[:] = module.data[:1]
    model.policy.optimizer.param_groups[0]["lr"] = 1e-3
    before = {name: p.clone() for name, p in routers(model).items()}
    model.learn(32)
    assert all(not torch.equal(p, before[name]) for name, p in routers(model).items())


@pytest.mark.parametrize(("shared", "prefixes"), [(True, SHARED), (False, SEPARATE)])
def test_the_log_has_ppos_keys_and_those_of_the_routers(shared, prefixes):
    plain = set(clock_model().learn(32).logger.name_to_value)
    model = expert_model(shared).learn(32)
    loads = {f"train/router_load/{prefix}1/{expert}" for prefix in prefixes for expert in range(4)}
    own = {f"train/router_{name}" for name in ("balance_loss", "z_loss", "max_over_mean", "dead")}
    log = model.logger.name_to_value
    assert set(log) - plain == loads | own
    for prefix in prefixes:
        assert sum(log[f"train/router_load/{prefix}1/{expert}"] for expert in range(4)) == pytest.approx(1.0)
    assert 0.5 <= log["train/router_balance_loss"] <= 4.0
    assert 1.0 <= log["train/router_max_over_mean"] <= 2.0
    assert 0 <= log["train/router_dead"] <= 2 * len(prefixes)


def test_the_log_has_means_over_the_minibatches_of_one_update():
    model = expert_model()
    collect(model)
    model.policy.set_training_mode(True)
    model.policy.routers.clear()
    seen = []
    for batch in model.rollout_buffer.get(16):
        model.policy.evaluate_actions(batch.observations, batch.actions)
        seen.append(model.policy.routers._seen[""])
    assert len(seen) == 2
    means = model.policy.routers.means()
    assert means["router_balance_loss"] == pytest.approx(np.mean([r.balance_loss().item() for r in seen]))
    assert means["router_z_loss"] == pytest.approx(np.mean([r.z_loss().item() for r in seen]))
    loads = torch.stack([r.statistics()[0].load for r in seen]).mean(0)
    assert [means[f"router_load/1/{i}"] for i in range(4)] == pytest.approx(loads.tolist())
    model.policy.routers.clear()
    assert model.policy.routers.means() == {}


def test_the_log_is_of_one_update_and_not_of_those_before(monkeypatch):
    model = expert_model()
    noted = []
    attach = RouterTraining.attach
    monkeypatch.setattr(
        RouterTraining, "attach", lambda self, values, seen: noted.append(seen[0]) or attach(self, values, seen)
    )
    model.learn(32)
    noted.clear()
    model.learn(32, reset_num_timesteps=False)
    expected = np.mean([routing.balance_loss().item() for routing in noted])
    assert model.logger.name_to_value["train/router_balance_loss"] == pytest.approx(expected)


def test_of_separate_encoders_the_log_has_the_mean():
    model = expert_model(shared=False)
    collect(model)
    model.policy.routers.clear()
    evaluate(model)
    seen = list(model.policy.routers._seen.values())
    expected = sum(routing.balance_loss().item() for routing in seen) / 2
    assert len(seen) == 2
    assert model.policy.routers.means()["router_balance_loss"] == pytest.approx(expected)


def test_an_agent_without_experts_logs_nothing_of_them():
    assert not [key for key in clock_model().learn(32).logger.name_to_value if "router" in key]


def biases(model):
    return [buffer for name, buffer in model.policy.named_buffers() if name.endswith("router.bias")]


@pytest.mark.parametrize("shared", [True, False])
def test_biases_move_once_per_optimizer_step(shared):
    model = expert_model(shared, balance="bias", balance_coef=0.001)
    assert len(biases(model)) == (1 if shared else 2)
    model.learn(32)  # 2 minibatches, 1 epoch
    for bias in biases(model):
        # two steps of 0.001 up or down, and their mean taken off: what goes up alone gains what the others lose
        assert 0 < bias.abs().max() <= 2 * 0.001 * 2 * (1 - 1 / len(bias)) + 1e-6
        assert bias.sum().item() == pytest.approx(0.0, abs=1e-6)
    assert model.logger.name_to_value["train/router_balance_loss"] == 0.0


def test_a_minibatch_moves_biases_once():
    model = expert_model(balance="bias", balance_coef=0.001)
    collect(model)
    evaluate(model).sum().backward()
    moved = []
    for _ in range(2):
        model._step()
        moved.append([bias.clone() for bias in biases(model)])
    assert all(bias.any() for bias in moved[0])
    assert all(torch.equal(a, b) for a, b in zip(*moved, strict=True))


def test_balance_by_bias_survives_files(tmp_path):
    model = expert_model(balance="bias", balance_coef=0.001).learn(32)
    model.save(tmp_path / "model")
    loaded = RecurrentPPO.load(tmp_path / "model", env=model.get_env(), device="cpu")
    before = [bias.clone() for bias in biases(loaded)]
    assert all(torch.equal(a, b) for a, b in zip(before, biases(model), strict=True))
    loaded.learn(32, reset_num_timesteps=False)
    assert not any(torch.equal(a, b) for a, b in zip(before, biases(loaded), strict=True))


@pytest.mark.parametrize("balance", ["switch", "pooled", "uniform", "bias", "none"])
def test_nothing_in_predict_changes_a_buffer(balance):
    model = expert_model(balance=balance, router_jitter=0.1, dropout=0.1).learn(32)
    before = {name: value.clone() for name, value in model.policy.state_dict().items()}
    obs, state, actions = np.ones((2, 2), np.float32), None, []
    for _ in range(3):
        action, state = model.predict(obs, state, deterministic=True)
        actions.append(action)
    again, _ = model.predict(obs, deterministic=True)
    assert np.array_equal(again, actions[0])
    collect(model)  # nor in a rollout
    after = model.policy.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, before[name]) for name, value in after.items())


def test_one_seed_run_twice_gives_identical_weights():
    one, two = (expert_model(balance="bias", router_jitter=0.1).learn(64).policy.state_dict() for _ in range(2))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
