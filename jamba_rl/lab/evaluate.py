"""How good an agent is: deterministic episodes, apart from training in seeds and in statistics."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.config import RunConfig
from jamba_rl.lab.files import replacing
from jamba_rl.lab.run import Run
from jamba_rl.lab.seeds import derived_seed
from jamba_rl.rl import RecurrentPPO
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


def evaluate(model: BaseAlgorithm, normalizer: VecNormalize, venv: VecEnv, episodes: int, seed: int) -> Scores:
    """Play deterministic episodes.

    :param model: who plays
    :param normalizer: the training's, whose statistics are used and left as they are
    :param venv: other envs of the same task, not normalised; every copy plays its share of episodes
    :param seed: which episodes: copy i starts from ``seed + i``
    """
    frozen = copy.copy(normalizer)  # leaves the training's envs behind
    frozen.set_venv(venv)
    frozen.training = False
    venv.seed(seed)
    returns, lengths = evaluate_policy(model, frozen, episodes, deterministic=True, return_episode_rewards=True)
    assert isinstance(returns, list)
    assert isinstance(lengths, list)
    return Scores(tuple(map(float, returns)), tuple(map(int, lengths)))


def evaluate_run(folder: Path, episodes: int = 20, seed: int = 0) -> tuple[Scores, Path]:
    """Evaluate the newest model of a run and write ``evaluation-<seed>.json`` beside it.

    :raises UserError: if there is no run, or no model in it
    """
    run = Run.open(folder)
    config = catalogue.check(RunConfig, run.read_config(), folder / "config.yaml")
    checkpoint = run.newest()
    if checkpoint is None:
        raise UserError(f"{folder} has no checkpoint yet; go on with --resume {folder}")
    venv = make_env(config.task, min(episodes, PARALLEL_EPISODES))
    model = RecurrentPPO.load(checkpoint.model, device=config.device)
    normalizer = VecNormalize.load(str(checkpoint.normalizer), venv)
    scores = evaluate(model, normalizer, venv, episodes, derived_seed("evaluation", seed))
    venv.close()
    report = {"step": model.num_timesteps, "seed": seed} | scores.as_dict()
    episodes_played = {"returns": scores.returns, "lengths": scores.lengths}
    path = run.folder / f"evaluation-{seed}.json"
    with replacing(path) as new:
        new.write_text(json.dumps(report | episodes_played, indent=2) + "\n")
    return scores, path
