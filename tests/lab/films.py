"""Films, read back."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jamba_rl.lab.run import Run


def read_mp4(path: Path) -> tuple[np.ndarray, float]:
    """Pictures (n, height, width, 3), and how many there are to a second."""
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-fps_mode", "passthrough", "-"]
    done = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), *raw], capture_output=True, check=True)
    said = re.search(r"Video: h264.* yuv420p.*, (\d+)x(\d+).*, ([\d.]+) fps", done.stderr.decode())
    assert said is not None, done.stderr
    width, height = int(said[1]), int(said[2])
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3), float(said[3])


def read_gif(file: Path | bytes) -> tuple[np.ndarray, list[int]]:
    """Pictures (n, height, width, 3), and how long each is shown, in milliseconds."""
    pictures, durations = [], []
    with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
        assert image.format == "GIF"
        for i in range(image.n_frames):
            image.seek(i)
            pictures.append(np.asarray(image.convert("RGB")))
            durations.append(image.info["duration"])
    return np.stack(pictures), durations


def clips_of(run: Run) -> list[tuple[int, bytes]]:
    """Step and gif of every clip that TensorBoard would show."""
    events = EventAccumulator(str(run.tensorboard), size_guidance={"images": 0})
    events.Reload()
    tags = events.Tags()["images"]
    return [(event.step, event.encoded_image_string) for tag in tags for event in events.Images(tag)]


def check_lively(pictures: np.ndarray, strip: int) -> None:
    """Something is to be seen below the strip, and it moves; the strip is dark, with letters in it."""
    below, above = pictures[:, strip:].astype(int), pictures[:, :strip].astype(int)
    assert below[0].std() > 10
    assert np.abs(below[0] - below[-1]).max() > 50
    assert np.median(above) < 50
    assert above[0].max() > 200
