"""The strip above a picture: who is seen where, and how far the episode is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

SEPARATOR = " · "
BACKGROUND, TITLE, RUNNING = (24, 24, 28), (255, 255, 255), (255, 200, 90)
SMALLEST, LARGEST = 9, 18  # font sizes in pixels
WIDTH_IN_LETTERS = 32  # of a picture, roughly, in font sizes


class Strip:
    """Text over pictures of one width: a title as long as it needs to be, and a line that changes.

    :param parts: the title's, which is broken into lines between them
    :param width: of the pictures, in pixels
    """

    def __init__(self, parts: Sequence[str], width: int) -> None:
        size = min(max(width // WIDTH_IN_LETTERS, SMALLEST), LARGEST)
        self.font = _font(size)
        self.margin, self.line_height = size // 2, size + size // 4
        lines = self._broken(parts, width - 2 * self.margin)
        self.below_title = self.margin + len(lines) * self.line_height
        height = self.below_title + self.line_height + self.margin
        self.blank = Image.new("RGB", (width, height + height % 2), BACKGROUND)  # videos have even sizes
        drawing = ImageDraw.Draw(self.blank)
        for i, line in enumerate(lines):
            drawing.text((self.margin, self.margin + i * self.line_height), line, TITLE, self.font)

    def over(self, picture: np.ndarray, line: str) -> np.ndarray:
        """Put the strip over a picture.

        :param picture: (height, width, 3) uint8
        :param line: what stands below the title
        :return: (strip + height, width, 3) uint8
        """
        strip = self.blank.copy()
        ImageDraw.Draw(strip).text((self.margin, self.below_title), line, RUNNING, self.font)
        return np.concatenate([np.asarray(strip), picture])

    def _broken(self, parts: Sequence[str], width: int) -> list[str]:
        lines: list[str] = []
        for part in parts:
            longer = SEPARATOR.join([*lines[-1:], part])
            if lines and self.font.getlength(longer) <= width:
                lines[-1] = longer
            else:
                lines.append(part)
        return lines


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # matplotlib's: Pillow's own has no letters beyond English
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
