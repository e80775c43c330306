"""Pictures that move, in a format that everything shows: few, small, of few colours."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

COLOURS = 256
MOST_PER_SECOND = 25  # viewers slow down what is much faster


class Thinned:
    """At most so many of a stream's pictures, evenly apart in time.

    Whenever there are too many, every second one goes, and of those to come half as many are taken: a stream need
    not say in advance how long it is.

    :param most: pictures to keep
    :param fps: pictures per second of the stream
    """

    def __init__(self, most: int, fps: float) -> None:
        self.most, self.fps = most, fps
        self.stride = max(1, round(fps / MOST_PER_SECOND))
        self.pictures: list[np.ndarray] = []
        self.seen = 0

    def wants_next(self) -> bool:
        """Whether the stream's next picture is one to keep; it counts as seen either way."""
        wanted = self.seen % self.stride == 0
        self.seen += 1
        return wanted

    def add(self, picture: np.ndarray) -> None:
        """Keep a wanted picture, (height, width, 3) uint8."""
        self.pictures.append(picture)
        if len(self.pictures) > self.most:
            self.pictures = self.pictures[::2]
            self.stride *= 2

    def encoded(self) -> bytes:
        """A gif that takes as long as the stream."""
        return gif(self.pictures, self.fps / self.stride)


def gif(pictures: Sequence[np.ndarray], fps: float) -> bytes:
    """Encode pictures that repeat for ever.

    :param pictures: each (height, width, 3) uint8
    :param fps: pictures per second; a gif keeps hundredths of a second, to which times are rounded, not their sum
    """
    # one palette for all, so that what stands still stays the same and costs nothing
    some = np.concatenate(pictures[:: max(1, len(pictures) // 8)])
    palette = Image.fromarray(some).quantize(COLOURS, dither=Image.Dither.NONE)
    frames = [Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    ends = np.rint(np.arange(1, len(frames) + 1) / fps * 100).astype(int) * 10
    durations = np.diff(ends, prepend=0).tolist()
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return file.getvalue()
