"""What an off-policy model has experienced, on disk."""

from __future__ import annotations

import gzip
import io
from typing import cast

from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from jamba_rl.catalogue import UserError
from jamba_rl.lab.run import Checkpoint, loading


def write_replay(model: OffPolicyAlgorithm, checkpoint: Checkpoint) -> None:
    """Save a model's replay buffer; compressed, since most of it may still be empty."""
    with (
        gzip.open(checkpoint.replay, "wb", compresslevel=1) as packed,
        io.BufferedWriter(cast("io.RawIOBase", packed)) as file,
    ):
        model.save_replay_buffer(file)


def read_replay(model: OffPolicyAlgorithm, checkpoint: Checkpoint) -> None:
    """Load a model's replay buffer.

    :raises UserError: if there is none, or it is damaged
    """
    if not checkpoint.replay.is_file():
        raise UserError(
            f"{checkpoint.folder} has no {checkpoint.replay.name}: without what it has experienced, this agent cannot "
            "go on learning"
        )
    with (
        loading(checkpoint.replay),
        gzip.open(checkpoint.replay, "rb") as packed,
        io.BufferedReader(cast("io.RawIOBase", packed)) as file,
    ):
        model.load_replay_buffer(file)
