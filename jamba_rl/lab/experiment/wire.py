"""Run folders over the wire: what has changed in one, and the same in another.

A checkpoint counts only with the rows up to it, and a result only with its model. So they are read before what they
rest on, and written after it: whenever the wire is cut, there is a run to go on with.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from jamba_rl.lab.experiment.left_over import UNFINISHED
from jamba_rl.lab.files import replacing
from jamba_rl.lab.run import CHECKPOINTS, RESULT


@dataclass(frozen=True)
class Change:
    """What happened in a run's folder.

    :ivar files: content of the new and changed ones, by their paths in the folder
    :ivar gone: paths of those that are there no more
    """

    files: dict[str, bytes] = field(default_factory=dict)
    gone: tuple[str, ...] = ()


class Changes:
    """Finds what has changed in a run's folder since it was last asked.

    :param folder: of the run, which another process may be writing to
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, tuple[int, int]] = {}

    def collect(self) -> Change:
        """Read what is new."""
        files: dict[str, bytes] = {}
        found: dict[str, tuple[int, int]] = {}
        for name in _names(self.folder):
            path = self.folder / name
            try:
                status = path.stat()
                stamp = (status.st_mtime_ns, status.st_size)
                if self._known.get(name) != stamp:
                    files[name] = path.read_bytes()
            except FileNotFoundError:  # replaced or removed meanwhile: next time
                continue
            found[name] = stamp
        gone = tuple(self._known.keys() - found.keys())
        self._known = found
        return Change(files, gone)


def apply(change: Change, folder: Path) -> None:
    """Have the same happen in another folder; a checkpoint appears whole or not at all."""
    checkpoints: dict[Path, dict[str, bytes]] = {}
    for name, content in change.files.items():
        path = folder / name
        if path.parent.parent.name == CHECKPOINTS and not path.parent.exists():
            checkpoints.setdefault(path.parent, {})[path.name] = content
        elif name != RESULT:
            _write(path, content)
    for checkpoint, files in checkpoints.items():
        unfinished = checkpoint.with_name(checkpoint.name + UNFINISHED)
        for name, content in files.items():
            _write(unfinished / name, content)
        unfinished.rename(checkpoint)
    if RESULT in change.files:
        _write(folder / RESULT, change.files[RESULT])
    for name in change.gone:
        (folder / name).unlink(missing_ok=True)
    for checkpoint in (folder / CHECKPOINTS).glob("*"):
        if not any(checkpoint.iterdir()):
            checkpoint.rmdir()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as new:
        new.write_bytes(content)


def _names(folder: Path) -> Iterator[str]:
    """Paths of finished files in a folder, looked for one after the other: first what rests on others."""
    if (folder / RESULT).exists():
        yield RESULT
    yield from _files(folder, CHECKPOINTS)
    yield from (name for name in _files(folder, "") if name != RESULT and not name.startswith(f"{CHECKPOINTS}/"))


def _files(folder: Path, under: str) -> Iterator[str]:
    for parent, folders, files in os.walk(folder / under):  # which bears with folders that vanish
        folders[:] = [name for name in folders if not name.endswith(UNFINISHED)]
        for name in files:
            if not name.endswith(UNFINISHED):
                yield (Path(parent) / name).relative_to(folder).as_posix()
