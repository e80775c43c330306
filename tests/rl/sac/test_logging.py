"""The log has SAC's keys, in every form that SB3 writes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stable_baselines3 import SAC
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import configure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.rl.clock import OURS, Clock
from tests.rl.conformance.test_logging import Keep
from tests.rl.sac.tiny import tiny

EXPERTS = {"pattern": "MM", "d_model": 8, "ffn_pattern": "E", "num_experts": 2, "top_k": 1, "ffn_mult": 1}


def clock(n_envs=1):
    return make_vec_env(Clock, n_envs=n_envs)


def logged(model, steps=160) -> list[dict]:
    keep = Keep()
    model.set_logger(keep)
    model.learn(steps)
    return [*keep.rows, dict(keep.name_to_value)]


@pytest.mark.parametrize(
    ("policy", "kwargs"),
    [*((policy, {}) for policy in OURS), ("GruPolicy", {"ent_coef": 0.1}), ("JambaPolicy", {"use_sde": True})],
)
def test_the_keys_are_sacs(policy, kwargs):
    options = {"learning_starts": 20, "train_freq": 8, "batch_size": 8, "buffer_size": 500, "device": "cpu", "seed": 0}
    ours = logged(tiny(policy, clock(), **options, **kwargs))
    theirs = logged(SAC("MlpPolicy", clock(), policy_kwargs={"net_arch": [8]}, **options, **kwargs))
    assert [row.keys() for row in ours] == [row.keys() for row in theirs]
    assert len(ours) == 9  # every fourth episode of five steps, and the rest
    assert all(np.isfinite(value) for row in ours for value in row.values())
    for row, other in zip(ours, theirs, strict=True):
        for name in row.keys() & {"time/episodes", "time/total_timesteps", "rollout/ep_len_mean"}:
            assert row[name] == other[name]


@pytest.mark.parametrize("shared", [False, True])
def test_routers_are_logged_as_ppos(shared):
    model = tiny("JambaPolicy", clock(), {"network": EXPERTS, "shared_encoder": shared})
    row = logged(model, 48)[-1]
    names = {name.removeprefix("train/") for name in row if "router" in name}
    layers = ["0", "1"] if shared else ["0", "1", "critic_0", "critic_1"]
    loads = {f"router_load/{layer}/{expert}" for layer in layers for expert in (0, 1)}
    assert names == {"router_balance_loss", "router_z_loss", "router_max_over_mean", "router_dead"} | loads
    for layer in layers:
        assert sum(row[f"train/router_load/{layer}/{i}"] for i in (0, 1)) == pytest.approx(1.0)
    assert 1.0 <= row["train/router_max_over_mean"] <= 2.0
    assert 0.0 <= row["train/router_dead"] <= 2.0 * len(layers)


def test_tensorboard(tmp_path):
    model = tiny("JambaPolicy", clock(), tensorboard_log=str(tmp_path))
    model.learn(64)
    model.learn(64, tb_log_name="named")
    model.learn(64, tb_log_name="named", reset_num_timesteps=False)
    assert {path.name for path in tmp_path.iterdir()} == {"RecurrentSAC_1", "named_1"}
    found = set(EventAccumulator(str(tmp_path / "RecurrentSAC_1")).Reload().Tags()["scalars"])
    assert {"train/actor_loss", "train/critic_loss", "train/ent_coef", "time/fps", "rollout/ep_len_mean"} <= found
    assert "train/n_updates" not in found
    model.logger.close()


def test_a_table_and_the_terminal(tmp_path: Path, capsys):
    model = tiny("JambaPolicy", clock(2), verbose=1)
    model.set_logger(configure(str(tmp_path), ["stdout", "csv"]))
    model.learn(160, log_interval=8)
    model.logger.close()
    rows = pd.read_csv(tmp_path / "progress.csv")
    assert rows["time/total_timesteps"].tolist() == [40, 80, 120, 160]
    assert rows["time/episodes"].tolist() == [8, 16, 24, 32]
    assert rows["train/n_updates"].tolist() == [2, 6, 12, 16]
    assert (rows["rollout/ep_len_mean"] == 5.0).all()
    assert "ep_rew_mean" in capsys.readouterr().out
