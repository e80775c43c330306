"""Every kind of agent is trained, evaluated, cut and resumed like any other."""

from __future__ import annotations

import os
import signal
import zipfile
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import SAC

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.build import load_model
from jamba_rl.lab.callbacks import Evaluations
from jamba_rl.lab.config import RunConfig, read_config
from jamba_rl.lab.evaluate import evaluate_run
from jamba_rl.lab.run import PROGRESS_STEP, Checkpoint, Run
from jamba_rl.lab.train import resume, train
from jamba_rl.tasks import make_env
from tests.lab.report.runs import report
from tests.lab.small import SETTINGS, small_config
from tests.rl.ppo.test_input import Broken

PER_ROLLOUT = 64


def updates(agent: str, step: int) -> int:
    """Updates that a model of so many steps has made: one per epoch, which is one per rollout, of PPO's."""
    # learning_starts 20, train_freq 2
    return (step - 20) // 2 if agent.startswith("sac") else step // PER_ROLLOUT


def newest(run: Run) -> Checkpoint:
    checkpoint = run.newest()
    assert checkpoint is not None
    return checkpoint


def learner(run: Run) -> SAC:
    """The model of the newest checkpoint, as resume has it."""
    config = read_config(run)
    model = load_model(config, newest(run), make_env(config.task, config.part.n_envs))
    assert isinstance(model, SAC)
    return model


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_model(read_config(run), newest(run)).policy.state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("agent", SETTINGS)
def test_an_agent_is_trained_evaluated_and_resumed(agent: str, tmp_path: Path) -> None:
    run = train(small_config(agent), tmp_path / "runs" / "run").run
    assert [row["step"] for row in run.evaluations.rows()] == ["64", "128"]
    scores, _ = evaluate_run(run.folder, episodes=2, seed=1)
    assert scores == evaluate_run(run.folder, episodes=2, seed=1)[0]
    before = weights(run)
    resume(run.folder, steps=256)
    assert [row["step"] for row in run.evaluations.rows()] == ["64", "128", "192", "256"]
    assert not same(weights(run), before)
    model = load_model(read_config(run), newest(run))
    assert (model.num_timesteps, model._n_updates) == (256, updates(agent, 256))
    steps = [float(row[PROGRESS_STEP]) for row in run.progress.rows()]
    assert steps == sorted(steps)
    result = run.result()
    assert result is not None
    assert result["step"] == 256
    assert result["active_parameters"] <= result["parameters"]
    text = report(tmp_path).read_text()
    assert f"| pendulum-p | {agent} | 1 | 256 |" in text
    assert (f"({result['active_parameters']:,} active)" in text) == (agent == "ppo-jamba-moe")


@pytest.mark.parametrize("agent", SETTINGS)
def test_an_agent_that_is_cut_goes_on(agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config(agent, every=10_000)
    cut_at = 91 if config.agent.part == "sac" else 90

    def signalled(self: Evaluations) -> bool:
        if self.num_timesteps == cut_at:
            os.kill(os.getpid(), signal.SIGINT)
        return True

    monkeypatch.setattr(Evaluations, "_on_step", signalled)
    cut = train(config, tmp_path / "run")
    learned = 90 if config.agent.part == "sac" else 64
    assert (cut.scores, cut.steps) == (None, learned)
    assert [checkpoint.step for checkpoint in cut.run.checkpoints()] == [learned]
    assert load_model(config, newest(cut.run)).num_timesteps == learned
    monkeypatch.undo()
    finished = resume(cut.run.folder)
    assert finished.steps == 128
    assert finished.scores is not None
    assert load_model(config, newest(cut.run))._n_updates == updates(agent, 128)


@pytest.mark.parametrize("agent", ["ppo-jamba-window", "sac-jamba-window", "sac-jamba"])
def test_the_same_seed_gives_the_same_run_however_often_it_is_evaluated(agent: str, tmp_path: Path) -> None:
    runs = [
        train(small_config(agent, steps=64, every=every, seed=seed), tmp_path / f"{every}-{seed}").run
        for every, seed in ((10_000, 0), (16, 0), (10_000, 1))
    ]
    assert len(runs[1].evaluations.rows()) == (4 if agent.startswith("sac") else 1)  # PPO's rollout is 64 steps
    assert same(weights(runs[0]), weights(runs[1]))
    assert not same(weights(runs[0]), weights(runs[2]))


def test_what_was_experienced_goes_on(tmp_path: Path) -> None:
    run = train(small_config("sac-jamba-window"), tmp_path / "run").run
    assert [checkpoint.replay.exists() for checkpoint in run.checkpoints()] == [False, True]
    assert {path.name for path in run.folder.iterdir()} >= {"model.zip", "normalizer.pkl"}
    assert not (run.folder / "replay.pkl.gz").exists()
    before = learner(run).replay_buffer
    assert (before.pos, before.full) == (128, False)
    assert before.dones[:128].sum() == 0  # an episode has 200 steps
    np.testing.assert_array_equal(before.ages[:6, 0], [1, 2, 3, 4, 4, 4])
    resume(run.folder, steps=192)
    assert [checkpoint.replay.exists() for checkpoint in run.checkpoints()] == [False, False, True]
    after = learner(run).replay_buffer
    assert after.pos == 192
    for key, part in before.observations.items():
        np.testing.assert_array_equal(after.observations[key][:128], part[:128])
        assert np.abs(after.observations[key][128:192]).max() > 0
    np.testing.assert_array_equal(after.actions[:128], before.actions[:128])
    assert after.ages[128, 0] == 1  # the envs began anew, and no history goes over that


def test_a_resumed_agent_still_knows_its_replay_and_does_not_begin_at_random(tmp_path: Path) -> None:
    run = train(small_config("sac-jamba-window"), tmp_path / "run").run
    model = learner(run)
    assert model.num_timesteps == 128 > model.learning_starts
    acted, plain = [], model.predict
    model.predict = lambda *args, **kwargs: acted.append(1) or plain(*args, **kwargs)
    model.learn(4, reset_num_timesteps=False)
    assert len(acted) == 4


def test_without_what_was_experienced_nothing_is_learned_from_nothing(tmp_path: Path) -> None:
    run = train(small_config("sac-jamba-window", steps=64), tmp_path / "run").run
    newest(run).replay.unlink()
    before = sorted(run.folder.rglob("*"))
    with pytest.raises(UserError, match=r"has no replay\.pkl\.gz: without what it has experienced"):
        resume(run.folder, steps=128)
    assert sorted(run.folder.rglob("*")) == before
    evaluate_run(run.folder, episodes=1)


def test_routers_are_in_the_log(tmp_path: Path) -> None:
    run = train(small_config("ppo-jamba-moe", steps=192, every=10_000), tmp_path / "run").run
    rows = [row for row in run.progress.rows() if row.get("train/router_balance_loss")]
    loads = [float(rows[0][f"train/router_load/1/{expert}"]) for expert in range(4)]
    assert sum(loads) == pytest.approx(1.0)
    assert {"train/router_z_loss", "train/router_max_over_mean", "train/router_dead"} <= set(run.progress.columns)
    assert float(rows[0]["train/router_balance_loss"]) > 0


def test_of_a_critic_and_its_target_one_counts(tmp_path: Path) -> None:
    run = train(small_config("sac-jamba-window", steps=32), tmp_path / "run").run
    policy = load_model(read_config(run), newest(run)).policy
    learned = {id(part) for module in (policy.actor, policy.critic) for part in module.parameters()}
    size = sum(part.numel() for part in policy.parameters() if id(part) in learned)
    result = run.result()
    assert result is not None
    assert result["parameters"] == size < sum(part.numel() for part in policy.parameters())


def test_a_run_from_before_a_key_existed_is_still_a_run(tmp_path: Path) -> None:
    had = small_config("ppo-jamba-moe", steps=64, settings=["observation_sum=false"])
    run = train(had, tmp_path / "run").run
    config, data = read_config(run), run.read_config()
    del data["task"]["protocol"]["sac"]
    model = load_model(config, newest(run))
    del model.policy_kwargs["observation_sum"]
    model.save(newest(run).model)
    for key in (
        "frames",
        "warm_up",
        "shared_encoder",
        "encoder_learning_rate_ratio",
        "previous_action",
        "observation_change",
        "observation_sum",
    ):
        del data["agent"][key]
    run.write_config(data)
    again = read_config(run)
    assert (again.agent, again.part, again.steps) == (config.agent, config.part, config.steps)
    evaluate_run(run.folder, episodes=1)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("algorithm", "pppo", "unknown algorithm 'pppo'; did you mean 'ppo'"),
        ("batch_sise", 4, "agent: unknown key 'batch_sise'; did you mean 'batch_size'"),
        ("frames", 0, "agent: frames: must be greater than 0, was 0"),
    ],
)
def test_a_config_that_was_changed_into_nonsense_is_one_line(
    tmp_path: Path, key: str, value: object, said: str
) -> None:
    run = Run.create(tmp_path / "run", small_config("ppo-jamba-moe").model_dump(mode="json"))
    data = run.read_config()
    run.write_config(data | {"agent": data["agent"] | {key: value}})
    with pytest.raises(UserError) as caught:
        read_config(run)
    assert said in str(caught.value)
    assert str(run.folder / "config.yaml") in str(caught.value)


@pytest.mark.parametrize("agent", SETTINGS)
def test_a_resolved_config_is_read_back_as_it_was(agent: str) -> None:
    config = small_config(agent, seed=3)
    assert catalogue.check(RunConfig, config.model_dump(mode="json"), "") == config


def test_a_replay_that_is_mostly_empty_takes_little_room(tmp_path: Path) -> None:
    run = train(small_config("sac-jamba-window", steps=32, settings=["buffer_size=100_000"]), tmp_path / "run").run
    assert newest(run).replay.stat().st_size < 100_000
    assert zipfile.is_zipfile(newest(run).model)


@pytest.mark.parametrize("agent", SETTINGS)
@pytest.mark.parametrize("part", ["observation", "reward"])
@pytest.mark.parametrize("at", [25, 40])  # in training, in the first evaluation
def test_an_env_that_breaks_is_named_in_one_line(agent: str, part: str, at: int, tmp_path: Path) -> None:
    gym.register("Broken-v0", entry_point=lambda: Broken(at=at, part=part, length=1000, truncate=False))
    try:
        with pytest.raises(UserError, match=rf"env 'Broken-v0': {part}.* of env \d is nan"):
            train(small_config(agent, env="Broken-v0"), tmp_path / "run")
    finally:
        gym.registry.pop("Broken-v0")
