"""The two files of a film."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from jamba_rl.catalogue import UserError
from jamba_rl.lab.files import replacing
from jamba_rl.lab.watch.gif import Thinned
from jamba_rl.lab.watch.mp4 import Mp4
from jamba_rl.lab.watch.title import Strip

GIF_WIDTH, GIF_PICTURES = 320, 250  # at most: some megabytes


class Film:
    """An mp4 of every picture, and a gif of fewer and smaller ones.

    :param title: what stands above every picture
    :param fps: pictures per second
    """

    def __init__(self, mp4: Path, title: Sequence[str], fps: float) -> None:
        self.title, self.strips = title, dict[int, Strip]()
        self.mp4, self.thinned = Mp4(mp4, fps), Thinned(GIF_PICTURES, fps)

    def add(self, picture: np.ndarray, line: str) -> None:
        """Add a picture, (height, width, 3) uint8, with a line of its own."""
        self.mp4.add(self._titled(picture, line))
        if self.thinned.wants_next():
            self.thinned.add(self._titled(_narrowed(picture), line))

    def _titled(self, picture: np.ndarray, line: str) -> np.ndarray:
        width = picture.shape[1]
        if width not in self.strips:
            self.strips[width] = Strip(self.title, width)
        return self.strips[width].over(picture, line)


@contextmanager
def filming(mp4: Path, gif: Path, title: Sequence[str], fps: float) -> Iterator[Film]:
    """Make a film of what is added inside; both files appear whole, or neither does.

    :raises UserError: if they cannot be written
    """
    try:
        with _whole(mp4) as new_mp4, _whole(gif) as new_gif:
            film = Film(new_mp4, title, fps)
            try:
                yield film
                film.mp4.close()
            finally:
                film.mp4.abort()
            new_gif.write_bytes(film.thinned.encoded())
    except OSError as error:
        raise UserError(f"cannot write {mp4} and {gif.name}: {error.strerror or error}") from error


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """As `replacing`, which shows at once if nothing can be written."""
    with replacing(path) as unfinished:
        unfinished.touch()
        yield unfinished


def _narrowed(picture: np.ndarray) -> np.ndarray:
    height, width, _ = picture.shape
    if width <= GIF_WIDTH:
        return picture
    size = (GIF_WIDTH, max(1, round(height * GIF_WIDTH / width)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
