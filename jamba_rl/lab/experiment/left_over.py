"""What lies in a run's folder and is no part of the run."""

from __future__ import annotations

from pathlib import Path

UNFINISHED = ".part"  # ends the names of what a kill cut off
ERROR = "error.txt"  # why the latest attempt failed


def is_left_over(path: Path) -> bool:
    """Whether a file or folder tells of an earlier attempt; the next one removes it."""
    return path.name == ERROR or path.name.endswith(UNFINISHED)
