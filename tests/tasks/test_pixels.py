"""Envs that are seen as images."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest

from jamba_rl.catalogue import UserError, check
from jamba_rl.tasks import Task, load_task, make_env, make_single_env
from jamba_rl.tasks.pixels import PixelEnv, Pixels

NAME = "invertedpendulum-pixels"
pytestmark = pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")


def seen(base: str = "InvertedPendulum-v5", render_mode: str | None = None, **keys) -> PixelEnv:
    pixels = check(Pixels, {"height": 16, "width": 32} | keys, "test")
    return PixelEnv(gymnasium.make(base, render_mode=render_mode), pixels)


def written(folder: Path, text: str) -> Task:
    path = folder / "mine.yaml"
    path.write_text(text)
    return load_task(str(path))


def put(env: gymnasium.Env, position: float, angle: float) -> np.ndarray:
    """What is seen of the cart and its pole there."""
    env.unwrapped.set_state(np.array([position, angle]), np.zeros(2))
    return env.observation(None)


def middle(image: np.ndarray, rows: slice) -> float:
    """Column of the mean brightness of some rows."""
    light = image[rows, :, 0].astype(float).sum(0)
    return float((light * np.arange(image.shape[1])).sum() / light.sum())


def test_things_are_where_they_are() -> None:
    env = seen(
        height=24, width=48, grey=True, view={"distance": 1.2, "lookat": [0, 0, 0.2], "azimuth": 90, "elevation": 0}
    )
    env.reset(seed=0)
    pole, cart = slice(0, 14), slice(15, 19)
    upright, left, right = (put(env, 0.0, angle) for angle in (0.0, -0.2, 0.2))
    assert middle(left, pole) + 1 < middle(upright, pole) < middle(right, pole) - 1
    assert middle(put(env, 0.4, 0.0), cart) > middle(upright, cart) + 2
    # a camera that goes along sees the pole's angle and not where the cart is
    along = seen(grey=True, view={"distance": 1.2, "azimuth": 90, "elevation": 0, "follow": "cart"})
    along.reset(seed=0)
    assert abs(middle(put(along, 0.4, 0.1), slice(0, 9)) - middle(put(along, 0.0, 0.1), slice(0, 9))) < 0.5


def test_grey_is_the_luminance_of_the_colours() -> None:
    colours, grey = (seen(grey=grey).reset(seed=3)[0] for grey in (False, True))
    assert (colours.shape, grey.shape, colours.dtype, grey.dtype) == ((16, 32, 3), (16, 32, 1), np.uint8, np.uint8)
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) > 4
    np.testing.assert_allclose(grey[..., 0], colours @ [0.299, 0.587, 0.114], atol=0.6)


def test_a_camera_of_the_model_can_be_named() -> None:
    by_name, by_default = seen("HalfCheetah-v5", camera="track"), seen("HalfCheetah-v5")
    assert (by_name.reset(seed=0)[0] != by_default.reset(seed=0)[0]).any()


def test_nothing_changes_but_what_is_seen() -> None:
    blind, sighted = make_single_env(NAME), make_single_env("invertedpendulum")
    blind.reset(seed=1)
    sighted.reset(seed=1)
    rng = np.random.default_rng(0)
    for _ in range(40):
        action = rng.uniform(-1, 1, 1).astype(np.float32)
        _, *felt, _ = blind.step(action)
        _, *also, _ = sighted.step(action)
        assert felt == also
        if felt[1]:
            blind.reset()
            sighted.reset()


def test_people_see_the_same_before_and_after() -> None:
    env = seen(render_mode="rgb_array")
    first, _ = env.reset(seed=0)
    large = env.render()
    assert large.shape == (480, 480, 3)
    np.testing.assert_array_equal(env.observation(None), first)
    np.testing.assert_array_equal(env.render(), large)
    # and the model is left as it was
    quality, usual = env.unwrapped.model.vis.quality, gymnasium.make("InvertedPendulum-v5").unwrapped.model.vis.quality
    assert (quality.offsamples, quality.shadowsize) == (usual.offsamples, usual.shadowsize)
    env.close()
    env.close()


def test_processes_show_what_one_process_shows() -> None:
    shown = []
    for stepping in ("in-process", "subprocess"):
        venv = make_env(NAME, 1, seed=4, stepping=stepping)
        shown.append([venv.reset(), *(venv.step(np.ones((1, 1), np.float32))[0] for _ in range(3))])
        venv.close()
    np.testing.assert_array_equal(*shown)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pixels: {height: 2, width: 24}", "pixels.height: must be greater than or equal to 4, was 2"),
        ("pixels: {height: 24}", "key 'pixels.width' is missing"),
        ("pixels: {height: 24, width: 24, gray: true}", "unknown key 'pixels.gray'; did you mean 'pixels.grey'"),
        ("pixels: {height: 24, width: 24, view: {distance: 0}}", "pixels.view.distance: must be greater than 0, was 0"),
        ("pixels: {height: 24, width: 24, view: {lookat: [0, 0]}}", "pixels.view.lookat"),
    ],
)
def test_a_mistake_in_a_file_is_one_line_with_the_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        written(tmp_path, f"base: InvertedPendulum-v5\n{text}\n")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base: Pendulum-v1\npixels: {height: 24, width: 24}", "mine.yaml): pixels: only MuJoCo envs"),
        ("base: jamba_rl/TMaze50-v0\npixels: {height: 24, width: 24}", "pixels: only MuJoCo envs"),
        ("base: HalfCheetah-v5\npixels: {height: 24, width: 24, camera: trak}", "'trak'; did you mean 'track'?"),
        (
            "base: HalfCheetah-v5\npixels: {height: 24, width: 24, view: {follow: torzo}}",
            "pixels.view.follow: unknown body 'torzo'; did you mean 'torso'?",
        ),
        (
            "base: HalfCheetah-v5\npixels: {height: 24, width: 24, camera: track, view: {distance: 2}}",
            "pixels: say camera, which the model has, or view, where one stands: not both",
        ),
        (
            "base: HalfCheetah-v5\npixels: {height: 24, width: 24}\nhide: [velocities]",
            "hide: HalfCheetah-v5 has observ",
        ),
        (
            "base: HalfCheetah-v4\npixels: {height: 24, width: 24}\nprotocol: {stepping: envpool}",
            "pixels: EnvPool's envs cannot be drawn",
        ),
    ],
)
def test_what_cannot_be_drawn_shows_when_it_is_made(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        make_env(written(tmp_path, f"{text}\n"), 1)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
