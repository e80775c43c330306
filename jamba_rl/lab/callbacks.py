"""What happens during training besides training: evaluation, checkpoints, and stopping in time."""

from __future__ import annotations

import signal
import threading
import time
from abc import abstractmethod
from types import FrameType
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecNormalize

from jamba_rl.lab.build.replay import write_replay
from jamba_rl.lab.config import RunConfig
from jamba_rl.lab.evaluate import PARALLEL_EPISODES, Scores, evaluate
from jamba_rl.lab.run import Checkpoint, Run
from jamba_rl.lab.seeds import derived_seed
from jamba_rl.lab.view import frozen, view
from jamba_rl.tasks import make_env


class Regular(BaseCallback):
    """Acts after the update that completes every so many env steps: between it and the next rollout.

    :ivar learned_steps: env steps that the model has learned from
    """

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = every

    def _on_training_start(self) -> None:
        self.learned_steps = self.num_timesteps

    def _on_rollout_start(self) -> None:
        before, self.learned_steps = self.learned_steps, self.model.num_timesteps
        if before // self.every < self.learned_steps // self.every:
            self.act(self.learned_steps)

    def _on_step(self) -> bool:
        return True

    @abstractmethod
    def act(self, step: int) -> None:
        """Do it, with a model that has learned from ``step`` steps."""


class Evaluations(Regular):
    """Evaluates into evaluations.csv and the logger, after the update that completes every so many env steps.

    So a row's ``step`` is what its model has learned from, and no more. Which episodes are played
    depends on the run's seed and the step alone: a resumed run plays what an uninterrupted one
    does, and two agents of one seed play the same.
    """

    def __init__(self, run: Run, config: RunConfig) -> None:
        super().__init__(config.task.protocol.evaluation.every)
        self.run, self.agent, self.seed = run, config.agent, config.seed
        self.episodes = config.task.protocol.evaluation.episodes
        self.venv = make_env(config.task, min(self.episodes, PARALLEL_EPISODES))
        self.seconds = 0.0
        self.latest: Scores | None = None

    def act(self, step: int) -> None:
        """Evaluate."""
        self.evaluate(step)

    def evaluate(self, step: int) -> Scores:
        """Evaluate the present model; a row that is there already is not written twice."""
        start = time.perf_counter()
        normalizer = self.model.get_vec_normalize_env()
        assert normalizer is not None
        seen = view(self.agent, self.venv, frozen(normalizer))
        seed = derived_seed("evaluation in training", self.seed, step)
        scores = evaluate(self.model, seen, self.episodes, seed)
        if not any(float(row["step"]) == step for row in self.run.evaluations.rows()):
            self._write(step, scores)
        self.latest = scores
        self.seconds += time.perf_counter() - start
        return scores

    def _write(self, step: int, scores: Scores) -> None:
        self.run.evaluations.append({"step": step, "seed": self.seed, **scores.as_dict()})
        # beside the training's logger: dumping that would write what the latest update recorded a second time
        logger = Logger(None, self.logger.output_formats)
        logger.record("eval/mean_reward", scores.mean)
        logger.record("eval/mean_ep_length", scores.mean_length)
        logger.record("time/total_timesteps", step, exclude="tensorboard")
        logger.dump(step)


class Checkpoints(Regular):
    """Saves the model, its normaliser and what it has in its replay buffer as often as it is evaluated.

    That is between an update and the next rollout, when everything that was experienced has been
    learned from: a run resumed there neither repeats nor loses a step. For the same reason a run
    that is stopped in mid-rollout counts as having learned up to the start of that rollout; steps
    of it that are in a replay buffer already stay there, and can be learned from later.
    """

    def __init__(self, run: Run, every: int) -> None:
        super().__init__(every)
        self.run = run

    def act(self, step: int) -> None:
        """Save."""
        self.save(step)

    def save(self, step: int) -> Checkpoint:
        """Save the present model as having learned from ``step`` steps."""
        self.model.num_timesteps = step
        return self.run.add_checkpoint(step, self._write)

    def _write(self, checkpoint: Checkpoint) -> None:
        normalizer = self.model.get_vec_normalize_env()
        assert isinstance(normalizer, VecNormalize)
        self.model.save(checkpoint.model)
        normalizer.save(str(checkpoint.normalizer))
        if isinstance(self.model, OffPolicyAlgorithm):
            write_replay(self.model, checkpoint)


class StopOnSignal(BaseCallback):
    """Ends training at the next step after Ctrl-C or SIGTERM; a second one aborts at once.

    Used as a context: signals are taken over inside and given back after it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.requested = False
        self.stopped = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopOnSignal:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            self._previous = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def _on_step(self) -> bool:
        self.stopped = self.requested
        return not self.stopped
