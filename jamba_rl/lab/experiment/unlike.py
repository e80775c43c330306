"""What two runs' configs differ in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jamba_rl.lab.config import RunConfig
from jamba_rl.lab.report.same import MAY_DIFFER, differences
from jamba_rl.lab.report.unused import unused


def unlike(one: RunConfig, other: RunConfig) -> Iterator[tuple[str, Any, Any]]:
    """Keys of two runs of one agent on one env that differ and count, with both values: what a report would refuse."""
    before, after = one.model_dump(mode="json"), other.model_dump(mode="json")
    yield from differences(before, after, MAY_DIFFER | unused(after))
