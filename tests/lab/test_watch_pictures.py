"""What films are made of: words, strips, gifs, mp4s."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jamba_rl.catalogue import UserError, check
from jamba_rl.lab.watch.film import filming
from jamba_rl.lab.watch.gif import Thinned, gif
from jamba_rl.lab.watch.mp4 import Mp4
from jamba_rl.lab.watch.title import BACKGROUND, Strip
from jamba_rl.lab.watch.words import shortcomings, title
from jamba_rl.tasks import Task, load_task
from tests.conftest import tiny_config
from tests.lab.films import read_gif, read_mp4


def task(**keys) -> Task:
    return check(Task, load_task("hopper").model_dump(mode="json") | keys, "test")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, []),
        ({"hide": ["velocities"]}, ["hidden: velocities"]),
        ({"hide": [9, 5, 6, 7]}, ["hidden: 5-7, 9"]),
        ({"keep": ["positions", 10]}, ["seen: positions, 10 only"]),
        ({"noise": 0.05}, ["noise: 0.05"]),
        ({"noise": {"positions": 0.05, "7": 1}}, ["noise: 0.05 on positions, 1 on 7"]),
        ({"dropout": {"frames": 0.1, "sensors": 0.025}}, ["lost: 10% of frames, 2.5% of sensors"]),
        ({"freeze": {"probability": 0.02, "steps": 10}}, ["stuck: 2% a step, for 10 steps"]),
        ({"delay": 3}, ["late: 3 steps"]),
        ({"cue": {"shown": ["positions"], "steps": 3}}, ["at first only: positions"]),
        ({"dynamics": {"mass": [0.5, 2.0]}}, ["body: varies"]),
        ({"pixels": {"height": 24, "width": 48}}, ["seen: 48 x 24 pixels"]),
        ({"pixels": {"height": 24, "width": 48, "grey": True}}, ["seen: 48 x 24 pixels, grey"]),
        ({"hide": ["velocities"], "delay": 3}, ["hidden: velocities", "late: 3 steps"]),
    ],
    ids=str,
)
def test_what_a_task_keeps_from_its_agent_is_said(keys: dict, said: list[str]) -> None:
    assert shortcomings(task(**keys)) == said


def test_a_title_names_task_agent_and_training() -> None:
    config = tiny_config("pendulum-p", agent="ppo-lstm")
    assert title(config, 500_000) == ["pendulum-p", "ppo-lstm", "step 500,000", "hidden: velocities"]


def test_a_title_is_broken_between_its_parts_where_a_picture_is_narrow() -> None:
    parts = ["hopper-p", "ppo-jamba", "step 500,000", "hidden: velocities"]
    heights = [Strip(parts, width).over(np.zeros((10, width, 3), np.uint8), "").shape[0] for width in (480, 160, 60)]
    wide, narrow, narrowest = (Strip(parts, width) for width in (480, 160, 60))
    assert [strip.below_title // strip.line_height for strip in (wide, narrow, narrowest)] == [1, 2, 4]
    assert all(height % 2 == 0 for height in heights)


def test_a_strip_leaves_the_picture_as_it_is_and_its_line_changes() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 200, 3), dtype=np.uint8)
    strip = Strip(["pendulum-p"], 200)
    first, second = (strip.over(picture, line) for line in ("t 1", "t 2"))
    height = len(first) - 40
    np.testing.assert_array_equal(first[height:], picture)
    assert (first[: strip.below_title] == second[: strip.below_title]).all()
    assert (first[strip.below_title : height] != second[strip.below_title : height]).any()
    assert (first[0] == BACKGROUND).all()


def shades(count: int, height: int = 6, width: int = 8) -> list[np.ndarray]:
    return [np.full((height, width, 3), 2 * i, np.uint8) for i in range(count)]


def test_a_gif_takes_as_long_as_what_it_shows() -> None:
    moving = np.zeros((30, 4, 30, 3), np.uint8)
    moving[range(30), :, range(30)] = (255, 128, 0)
    pictures, durations = read_gif(gif(list(moving), fps=30.0))
    np.testing.assert_array_equal(pictures, moving)
    assert set(durations) == {30, 40}  # hundredths of a second, for thirtieths
    assert sum(durations) == 1000


@pytest.mark.parametrize(("count", "stride"), [(1, 1), (10, 1), (11, 2), (20, 2), (21, 4), (100, 16)])
def test_too_many_pictures_are_thinned_evenly(count: int, stride: int) -> None:
    thinned = Thinned(most=10, fps=20.0)
    for picture in shades(count):
        if thinned.wants_next():
            thinned.add(picture)
    assert [int(picture[0, 0, 0]) // 2 for picture in thinned.pictures] == list(range(0, count, stride))
    _, durations = read_gif(thinned.encoded())
    assert sum(durations) == 50 * stride * len(thinned.pictures)


def test_a_quick_stream_is_thinned_from_the_start() -> None:
    assert Thinned(most=10, fps=125.0).stride == 5  # 25 a second
    assert Thinned(most=10, fps=10.0).stride == 1


def test_an_mp4_holds_every_picture_also_of_odd_sizes(tmp_path: Path) -> None:
    mp4 = Mp4(tmp_path / "odd.mp4.part", fps=12.5)
    for picture in shades(20, 33, 47):
        mp4.add(picture)
    mp4.close()
    pictures, fps = read_mp4(mp4.path)
    assert pictures.shape == (20, 34, 48, 3)
    assert fps == 12.5
    assert np.abs(pictures[:, :33, :47].astype(int) - shades(20, 33, 47)).max() <= 6


def test_a_film_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    mp4, taken = tmp_path / "film.mp4", tmp_path / "film.gif"
    taken.mkdir()
    with pytest.raises(UserError, match="Is a directory"), filming(mp4, taken, ["x"], 10.0) as film:
        film.add(shades(1, 20, 20)[0], "t 0")
    assert [path.name for path in tmp_path.iterdir()] == ["film.gif"]
