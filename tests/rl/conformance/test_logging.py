"""The log has PPO's keys, in every form that SB3 writes."""

from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Logger, configure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.rl.clock import OURS, Clock
from tests.rl.conformance.tiny import tiny


class Keep(Logger):
    """Keeps what a log would be written from."""

    def __init__(self):
        super().__init__("", [])
        self.rows = []

    def dump(self, step: int = 0) -> None:
        self.rows.append(dict(self.name_to_value))
        self.name_to_value.clear()


def logged(model) -> list[dict]:
    keep = Keep()
    model.set_logger(keep)
    model.learn(192)
    return [*keep.rows, dict(keep.name_to_value)]


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "CartPole-v1"])
@pytest.mark.parametrize("policy", OURS)
def test_the_keys_are_ppos(policy, env_id):
    options = {"n_steps": 64, "batch_size": 32, "n_epochs": 1, "clip_range_vf": 0.2, "device": "cpu", "seed": 0}
    ours = logged(tiny(policy, env_id, **options))
    theirs = logged(PPO("MlpPolicy", env_id, **options))
    assert [row.keys() for row in ours] == [row.keys() for row in theirs]
    assert all(np.isfinite(value) for row in ours for value in row.values())


def test_tensorboard(tmp_path):
    class Extra(BaseCallback):
        def _on_step(self):
            self.logger.record("custom/number", self.num_timesteps)
            return True

    model = tiny("JambaPolicy", "Pendulum-v1", tensorboard_log=str(tmp_path))
    model.learn(64, callback=Extra())
    model.learn(64, tb_log_name="named")
    model.learn(64, tb_log_name="named", reset_num_timesteps=False)
    assert {path.name for path in tmp_path.iterdir()} == {"RecurrentPPO_1", "named_1"}
    events = EventAccumulator(str(tmp_path / "RecurrentPPO_1")).Reload()
    assert {"custom/number", "train/loss", "time/fps"} <= set(events.Tags()["scalars"])
    assert "train/n_updates" not in events.Tags()["scalars"]
    model.logger.close()


def test_a_table_and_the_terminal(tmp_path: Path, capsys):
    model = tiny("JambaPolicy", make_vec_env(Clock, n_envs=2), verbose=1)
    model.set_logger(configure(str(tmp_path), ["stdout", "csv"]))
    model.learn(192)
    model.logger.close()
    rows = pd.read_csv(tmp_path / "progress.csv")
    assert rows["time/total_timesteps"].tolist() == [64, 128, 192]
    assert (rows["rollout/ep_len_mean"] == 5.0).all()
    assert "ep_rew_mean" in capsys.readouterr().out


def test_the_log_of_many_experts_fits_the_terminal(capsys):
    network = {"pattern": "M" * 12, "d_model": 8, "ffn_pattern": "E", "num_experts": 12, "ffn_mult": 1}
    model = tiny("JambaPolicy", make_vec_env(Clock, n_envs=2), {"network": network, "shared_encoder": False}, verbose=1)
    model.learn(128)
    assert "router_load/critic_11/11" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_a_progress_bar(capsys):
    model = tiny("JambaPolicy", make_vec_env(Clock, n_envs=2)).learn(128, progress_bar=True)
    captured = capsys.readouterr()
    assert "128/128" in captured.out + captured.err
    assert model.num_timesteps == 128


def test_a_clock_that_stands_still_divides_nothing_by_zero():
    with mock.patch("time.time_ns", return_value=42):
        tiny("JambaPolicy", make_vec_env(Clock, n_envs=2)).learn(64)


def test_statistics_are_of_as_many_episodes_as_was_asked_for():
    model = tiny("JambaPolicy", make_vec_env(Clock, n_envs=2), stats_window_size=7).learn(128)
    assert len(model.ep_info_buffer) == model.ep_info_buffer.maxlen == 7
