"""SB3's logger, writing into a run folder that may already hold the beginning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat, filter_excluded_keys
from torch.utils.tensorboard import SummaryWriter

from jamba_rl.lab import hparams
from jamba_rl.lab.config import RunConfig
from jamba_rl.lab.files import Table
from jamba_rl.lab.run import Run


class CsvOutput(KVWriter):
    """Appends to progress.csv, where SB3's own would start the file anew."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Append what was recorded."""
        self.table.append(filter_excluded_keys(key_values, key_excluded, "csv"))

    def close(self) -> None:
        """Nothing to close: the file is open while it is written to only."""


class TensorBoardOutput(TensorBoardOutputFormat):
    """SB3's, which also has TensorBoard forget what was written past the step that a run goes on from.

    It begins with the run's hyperparameters.
    """

    def __init__(self, folder: Path, step: int, config: RunConfig) -> None:
        self.writer = SummaryWriter(log_dir=str(folder), purge_step=step + 1 if folder.exists() else None)
        self._is_closed = False
        self.writer._get_file_writer().add_summary(hparams.start_summary(config), step)

    def finish(self, score: float, step: int) -> None:
        """Write the final score, which is what hyperparameters are seen beside."""
        self.writer.add_scalar(hparams.SCORE, score, step)
        self.writer._get_file_writer().add_summary(hparams.end_summary(), step)


class RunLogger(Logger):
    """The logger of a run."""

    def finish(self, score: float, step: int) -> None:
        """Write the final score wherever it has a place of its own."""
        for output in self.output_formats:
            if hasattr(output, "finish"):
                output.finish(score, step)


def make_logger(run: Run, config: RunConfig, step: int, *others: KVWriter) -> RunLogger:
    """Make the logger of a run that goes on from ``step``.

    :param others: what else to write to
    """
    return RunLogger(
        str(run.folder), [CsvOutput(run.progress), TensorBoardOutput(run.tensorboard, step, config), *others]
    )
