from __future__ import annotations

import json

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecNormalize

from jamba_rl.catalogue import UserError
from jamba_rl.lab.evaluate import Scores, evaluate, evaluate_run
from jamba_rl.lab.run import Run
from jamba_rl.lab.seeds import derived_seed
from jamba_rl.lab.view import frozen, view
from jamba_rl.rl import RecurrentPPO
from jamba_rl.tasks import make_env
from tests.conftest import tiny_config


def load(run: Run) -> tuple[RecurrentPPO, VecNormalize]:
    checkpoint = run.newest()
    assert checkpoint is not None
    model = RecurrentPPO.load(checkpoint.model, device="cpu")
    return model, VecNormalize.load(str(checkpoint.normalizer), make_env("pendulum-p", 2))


def played(model: RecurrentPPO, normalizer: VecNormalize, n_envs: int, episodes: int, seed: int) -> Scores:
    venv = view(tiny_config().agent, make_env("pendulum-p", n_envs), frozen(normalizer))
    return evaluate(model, venv, episodes, seed)


def test_scores_are_means_over_episodes() -> None:
    scores = Scores(returns=(1.0, 3.0), lengths=(10, 20))
    assert (scores.mean, scores.std, scores.mean_length) == (
        2.0,
        1.0,
        15.0,
    )  # std of the population: sqrt(((-1)^2 + 1^2) / 2)


def test_the_same_seed_plays_the_same_episodes(trained: Run) -> None:
    model, normalizer = load(trained)
    first, again, other = (played(model, normalizer, 2, 4, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len(first.returns) == len(first.lengths) == 4
    assert set(first.lengths) == {200}


def test_evaluation_uses_the_statistics_of_training_and_leaves_them(trained: Run) -> None:
    model, normalizer = load(trained)
    before = (normalizer.obs_rms.mean.copy(), normalizer.obs_rms.count, normalizer.ret_rms.count)
    scores = played(model, normalizer, 2, 2, 1)
    assert (normalizer.obs_rms.count, normalizer.ret_rms.count) == before[1:]
    np.testing.assert_array_equal(normalizer.obs_rms.mean, before[0])
    assert normalizer.training
    assert normalizer.norm_reward
    normalizer.obs_rms.mean = normalizer.obs_rms.mean + 1.0
    assert played(model, normalizer, 2, 2, 1) != scores


def test_returns_are_those_of_the_env_and_not_normalised(trained: Run) -> None:
    model, normalizer = load(trained)
    scores = played(model, normalizer, 1, 1, 5)
    venv = make_env("pendulum-p", 1, seed=5)
    observation, state, start, total = venv.reset(), None, np.ones(1, bool), 0.0
    for _ in range(200):
        action, state = model.predict(normalizer.normalize_obs(observation), state, start, deterministic=True)
        observation, reward, start, _ = venv.step(action)
        total += float(reward[0])
    assert scores.returns == pytest.approx((total,), rel=1e-5)


def test_a_run_is_evaluated_by_its_newest_model(trained: Run) -> None:
    scores, path = evaluate_run(trained.folder, episodes=3, seed=4)
    report = json.loads(path.read_text())
    assert path == trained.folder / "evaluation-4.json"
    assert (report["step"], report["seed"], report["episodes"]) == (256, 4, 3)
    assert report["mean_reward"] == scores.mean == pytest.approx(np.mean(report["returns"]))
    assert report["std_reward"] == pytest.approx(np.std(report["returns"]))
    assert evaluate_run(trained.folder, episodes=3, seed=4)[0] == scores
    assert evaluate_run(trained.folder, episodes=3, seed=5)[0] != scores


def test_a_run_without_a_model_cannot_be_evaluated(tmp_path, trained: Run) -> None:
    empty = Run.create(tmp_path / "empty", trained.read_config())
    with pytest.raises(UserError, match="no checkpoint yet"):
        evaluate_run(empty.folder)


def test_derived_seeds_are_apart_from_training_and_each_other() -> None:
    purposes = ("evaluation", "evaluation in training", "resume")
    seeds = [derived_seed(purpose, seed, step) for purpose in purposes for seed in range(20) for step in (0, 20_000)]
    assert len(set(seeds)) == len(seeds)
    assert derived_seed("evaluation", 0) != derived_seed("evaluation", 1)
    assert all(10_000 < seed < 2**31 - 10_000 for seed in seeds)
