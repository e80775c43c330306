"""SB3's logger, writing into a run folder that may already hold the beginning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat, filter_excluded_keys
from torch.utils.tensorboard import SummaryWriter

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
    """SB3's, which also has TensorBoard forget what was written past the step that a run goes on from."""

    def __init__(self, folder: Path, step: int) -> None:
        self.writer = SummaryWriter(log_dir=str(folder), purge_step=step + 1 if folder.exists() else None)
        self._is_closed = False


def make_logger(run: Run, step: int) -> Logger:
    """Make the logger of a run that goes on from ``step``."""
    return Logger(str(run.folder), [CsvOutput(run.progress), TensorBoardOutput(run.tensorboard, step)])
