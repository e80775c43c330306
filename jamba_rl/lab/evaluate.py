"""How good an agent is: deterministic episodes, apart from training in seeds and in statistics."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.type_aliases import PolicyPredictor
from stable_baselines3.common.vec_env import VecEnv

from jamba_rl.catalogue import UserError
from jamba_rl.lab.build import load_model
from jamba_rl.lab.config import read_config
from jamba_rl.lab.experience import experience_of
from jamba_rl.lab.files import replacing
from jamba_rl.lab.run import Run
from jamba_rl.lab.seeds import derived_seed
from jamba_rl.lab.view import saved, view
from jamba_rl.rl.finite import check_experience
from jamba_rl.tasks import make_env

PARALLEL_EPISODES = 10


@dataclass(frozen=True)
class Scores:
    """Undiscounted returns and lengths in env steps, one per episode."""

    returns: tuple[float, ...]
    lengths: tuple[int, ...]

    @property
    def mean(self) -> float:
        """Mean return."""
        return fmean(self.returns)

    @property
    def std(self) -> float:
        """Standard deviation of the return, of these episodes as the whole population (numpy's and SB3's)."""
        return pstdev(self.returns)

    @property
    def mean_length(self) -> float:
        """Mean length in env steps."""
        return fmean(self.lengths)

    def as_dict(self) -> dict[str, float]:
        """What is written down of them, by the names of evaluations.csv."""
        return {
            "mean_reward": self.mean,
            "std_reward": self.std,
            "mean_length": self.mean_length,
            "episodes": len(self.returns),
        }


def evaluate(model: PolicyPredictor, venv: VecEnv, episodes: int, seed: int) -> Scores:
    """Play deterministic episodes.

    :param model: who plays
    :param venv: envs as it sees them, apart from those of training; every copy plays its share of episodes
    :param seed: which episodes: copy i starts from ``seed + i``
    :raises ExperienceError: if an observation or reward is infinite or not a number
    """
    venv.seed(seed)
    returns, lengths = evaluate_policy(
        model, venv, episodes, deterministic=True, return_episode_rewards=True, callback=_check_step
    )
    assert isinstance(returns, list)
    assert isinstance(lengths, list)
    return Scores(tuple(map(float, returns)), tuple(map(int, lengths)))


def _check_step(known: dict[str, Any], _: dict[str, Any]) -> None:
    """Called by SB3 for every env at every step."""
    if known["i"] == 0:
        check_experience(known["new_observations"], known["rewards"], when="in an evaluation")


def evaluate_run(folder: Path, episodes: int = 20, seed: int = 0) -> tuple[Scores, Path]:
    """Evaluate the newest model of a run and write ``evaluation-<seed>.json`` beside it.

    :raises UserError: if there is no run, no model in it, or a file of it is damaged
    """
    run = Run.open(folder)
    config = read_config(run)
    checkpoint = run.newest()
    if checkpoint is None:
        raise UserError(f"{folder} has no checkpoint yet; go on with --resume {folder}")
    venv = make_env(config.task, min(episodes, PARALLEL_EPISODES))
    model = load_model(config, checkpoint)
    seen = view(config.agent, venv, saved(checkpoint.normalizer, training=False))
    with experience_of(config.task.name):
        scores = evaluate(model, seen, episodes, derived_seed("evaluation", seed))
    venv.close()
    report = {"step": model.num_timesteps, "seed": seed} | scores.as_dict()
    episodes_played = {"returns": scores.returns, "lengths": scores.lengths}
    path = run.folder / f"evaluation-{seed}.json"
    with replacing(path) as new:
        new.write_text(json.dumps(report | episodes_played, indent=2) + "\n")
    return scores, path
