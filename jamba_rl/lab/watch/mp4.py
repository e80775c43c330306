"""Pictures as an mp4 that browsers and players show: H.264, by the ffmpeg that comes with imageio-ffmpeg."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import imageio_ffmpeg
import numpy as np

QUALITY = "20"  # of x264: 0 is lossless, 51 the worst


class Mp4:
    """A file that is written picture by picture, all of one size; `close` ends it.

    ffmpeg is called here and not by imageio-ffmpeg's own writer, which does not say when it fails.

    :param fps: pictures per second
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = path, fps
        self._ffmpeg: subprocess.Popen[bytes] | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by abort

    def add(self, picture: np.ndarray) -> None:
        """Write a picture, (height, width, 3) uint8.

        :raises OSError: if it cannot be written
        """
        height, width, _ = picture.shape
        even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")  # colours are kept by 2 x 2
        if self._ffmpeg is None:
            self._ffmpeg = self._start(*even.shape[:2])
        assert self._ffmpeg.stdin is not None
        try:
            self._ffmpeg.stdin.write(even.tobytes())
        except BrokenPipeError:
            raise self._error() from None

    def close(self) -> None:
        """Finish the file.

        :raises OSError: if that fails
        """
        if self._ffmpeg is not None:
            self._ffmpeg.communicate()
            if self._ffmpeg.returncode:
                raise self._error()
        self.abort()

    def abort(self) -> None:
        """Let go of the file, whatever is in it."""
        if self._ffmpeg is not None:
            self._ffmpeg.kill()
            self._ffmpeg.communicate()
        self._said.close()

    def _start(self, height: int, width: int) -> subprocess.Popen[bytes]:
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{self.fps:g}", "-i", "-"]
        h264 = ["-c:v", "libx264", "-crf", QUALITY, "-pix_fmt", "yuv420p"]
        # its index first, so that it plays before it is all there; the name of an unfinished file does not say mp4
        mp4 = ["-movflags", "+faststart", "-f", "mp4", str(self.path.absolute())]
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *raw, *h264, *mp4]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said)

    def _error(self) -> OSError:
        assert self._ffmpeg is not None
        self._ffmpeg.wait()
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return OSError(f"ffmpeg: {lines[-1] if lines else f'exit code {self._ffmpeg.returncode}'}")
