"""Clips of an agent in training, for TensorBoard."""

from __future__ import annotations

import time

from stable_baselines3.common.vec_env import VecNormalize
from tensorboard.compat.proto.summary_pb2 import Summary

from jamba_rl.lab.callbacks import Regular
from jamba_rl.lab.config import RunConfig
from jamba_rl.lab.logger import TensorBoardOutput
from jamba_rl.lab.seeds import derived_seed
from jamba_rl.lab.view import frozen, view
from jamba_rl.lab.watch.gif import Thinned
from jamba_rl.lab.watch.play import play
from jamba_rl.lab.watch.stage import Stage
from jamba_rl.lab.watch.title import Strip
from jamba_rl.lab.watch.words import running, title

SIZE = (160, 120)
PICTURES = 200
TAG = "eval/episode"


class Clips(Regular):
    """Plays an episode in an env of its own, and writes it down as a gif.

    Where an evaluation falls on the same step, it is the first of its episodes. Training goes on as if nobody looked.

    :raises UserError: if the env cannot be drawn
    """

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config.video_every)
        self.config = config
        self.stage = Stage(config.task, SIZE, quick=True)
        self.seconds = 0.0

    def act(self, step: int) -> None:
        """Record the present model."""
        start = time.perf_counter()
        normalizer = self.model.get_vec_normalize_env()
        assert isinstance(normalizer, VecNormalize)
        seen = view(self.config.agent, self.stage.venv, frozen(normalizer))
        seen.seed(derived_seed("evaluation in training", self.config.seed, step))
        strip, pictures = Strip(title(self.config, step), SIZE[0]), Thinned(PICTURES, self.stage.fps)

        def look(steps: int, score: float) -> None:
            if pictures.wants_next():
                pictures.add(strip.over(self.stage.picture(), running(steps, score)))

        play(self.model, seen, look)
        self._write(step, pictures)
        self.seconds += time.perf_counter() - start

    def close(self) -> None:
        """Let go of the env."""
        self.stage.close()

    def _write(self, step: int, pictures: Thinned) -> None:
        height, width, _ = pictures.pictures[0].shape
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=pictures.encoded())
        summary = Summary(value=[Summary.Value(tag=TAG, image=image)])
        # not by SB3's Video: torch's writer of it prints a line and writes nothing, with any recent moviepy or none
        for output in self.logger.output_formats:
            if isinstance(output, TensorBoardOutput):
                file_writer = output.writer._get_file_writer()
                file_writer.add_summary(summary, step)
                output.writer.flush()
