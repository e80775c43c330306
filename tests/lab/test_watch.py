from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from jamba_rl import opengl
from jamba_rl.lab.evaluate import evaluate_run
from jamba_rl.lab.run import Run
from jamba_rl.lab.train import train
from jamba_rl.lab.watch.play import play
from jamba_rl.lab.watch.record import watch_run
from jamba_rl.rl.finite import ExperienceError
from tests.conftest import Outcome, tiny_config
from tests.lab.films import check_lively, clips_of, read_gif, read_mp4
from tests.lab.small import small_config

Cli = Callable[..., Outcome]
SIZE = (96, 64)


class Counting(gymnasium.Env):
    """Episodes of 5 steps, whose reward is 1; nothing to look at."""

    observation_space = spaces.Box(-10.0, 10.0, (1,))
    action_space = spaces.Box(-1.0, 1.0, (1,))

    def __init__(self, bad: bool = False) -> None:
        self.count, self.bad = 0, bad

    def reset(self, *, seed=None, options=None):
        self.count = 0
        return self._observation(), {}

    def step(self, action):
        self.count += 1
        return self._observation(), 1.0, self.count == 5, False, {}

    def _observation(self) -> np.ndarray:
        return np.array([np.nan if self.bad and self.count == 3 else self.count], np.float32)


class Still:
    """A model that does nothing, and notes what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[float, int | None, bool]] = []

    def predict(self, observation, state, episode_start, deterministic):
        assert deterministic
        self.given.append((float(observation[0, 0]), state, bool(episode_start[0])))
        return np.zeros((1, 1)), len(self.given)


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """What watching sets in the environment goes with the test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    opengl.works.cache_clear()


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_there_are_as_many_looks_as_steps_and_the_last_is_before_the_end() -> None:
    env, model, looks = Counting(), Still(), []
    venv = DummyVecEnv([lambda: Monitor(env)])
    for _ in range(2):
        episode = play(model, venv, lambda step, score: looks.append((step, score, env.count)))  # type: ignore[arg-type]
        assert (episode.score, episode.length) == (5.0, 5)
    assert looks == 2 * [(step, float(step), step) for step in range(5)]
    # the memory of the step before is handed back, and an episode begins with none
    assert model.given[:2] == [(0.0, None, True), (1.0, 1, False)]
    assert model.given[5] == (0.0, None, True)


def test_an_episode_can_be_stopped() -> None:
    episode = play(Still(), DummyVecEnv([lambda: Monitor(Counting())]), lambda step, score: None, max_steps=3)  # type: ignore[arg-type]
    assert (episode.score, episode.length) == (3.0, 3)


def test_what_is_no_number_is_not_played_on() -> None:
    with pytest.raises(ExperienceError, match="in an episode that was watched"):
        play(Still(), DummyVecEnv([lambda: Monitor(Counting(bad=True))]), lambda step, score: None)  # type: ignore[arg-type]


def test_a_film_shows_every_step_of_an_episode_that_evaluation_plays_too(trained: Run) -> None:
    said: list[str] = []
    watched = watch_run(trained.folder, seed=4, size=SIZE, show=said.append)
    (episode,) = watched.episodes
    scores, _ = evaluate_run(trained.folder, episodes=1, seed=4)
    assert ((episode.score,), (episode.length,)) == (scores.returns, scores.lengths)
    assert (watched.mp4, watched.gif) == (trained.folder / "watch-4.mp4", trained.folder / "watch-4.gif")
    pictures, fps = read_mp4(watched.mp4)
    strip = pictures.shape[1] - SIZE[1]
    assert pictures.shape == (200, SIZE[1] + strip, SIZE[0], 3)
    assert fps == 30.0  # the pendulum's own
    check_lively(pictures, strip)
    assert (pictures[0, :strip] != pictures[100, :strip]).any()  # what is counted
    small, durations = read_gif(watched.gif)
    assert small.shape[1:] == pictures.shape[1:]
    check_lively(small, strip)
    assert sum(durations) / 1000 == pytest.approx(200 / 30, abs=0.1)
    assert (said[0], len(said)) == ("t 0  return 0.0", 200)
    assert not list(trained.folder.rglob("*.part"))


def test_pictures_can_be_left_out_and_time_runs_as_it_did(trained: Run, tmp_path: Path) -> None:
    watched = watch_run(trained.folder, size=SIZE, every=7, out=tmp_path / "film.v2.mp4")
    assert watched.mp4 == tmp_path / "film.v2.mp4"
    pictures, fps = read_mp4(watched.mp4)
    assert len(pictures) == 29  # steps 0, 7, ..., 196
    assert fps == pytest.approx(30 / 7, abs=0.01)
    assert {path.name for path in tmp_path.glob("film*")} == {"film.v2.mp4", "film.v2.gif"}


def test_episodes_follow_one_another_and_can_be_cut(trained: Run) -> None:
    watched = watch_run(trained.folder, episodes=2, size=SIZE, max_steps=12)
    assert [episode.length for episode in watched.episodes] == [12, 12]
    assert watched.episodes[0].score != watched.episodes[1].score
    assert len(read_mp4(watched.mp4)[0]) == 24
    again = watch_run(trained.folder, episodes=2, size=SIZE, max_steps=12)
    assert again.episodes == watched.episodes


@pytest.mark.parametrize("agent", ["sac-jamba", "ppo-jamba-window", "ppo-mlp-framestack"])
def test_agents_of_every_kind_can_be_watched(agent: str, tmp_path: Path) -> None:
    run = train(small_config(agent, steps=64, every=64), tmp_path / "run").run
    assert len(read_mp4(watch_run(run.folder, size=SIZE, max_steps=5).mp4)[0]) == 5


def test_without_a_size_pictures_are_as_the_env_draws_them(trained: Run) -> None:
    watched = watch_run(trained.folder, max_steps=2)
    assert read_mp4(watched.mp4)[0].shape[2] == 500
    assert read_gif(watched.gif)[0].shape[2] == 320


def test_the_command_says_what_it_saw_and_where_it_is(cli: Cli, trained: Run) -> None:
    done = cli("watch", str(trained.folder), "--seed", "3", "--size", "96x64", "--max-steps", "4")
    assert done.code == 0, done.err
    first, *rest = done.out.splitlines()
    assert first.startswith("return    -")
    assert rest == ["length    4", *(f"written   {trained.folder}/watch-3.{end}" for end in ("mp4", "gif"))]


def nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is broken."""


def no_model(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (run.folder / "result.json").unlink()
    (run.folder / "checkpoints").rename("elsewhere")


def damaged_model(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = run.newest()
    assert checkpoint is not None
    checkpoint.model.write_bytes(b"?")


def other_env(env: str) -> Callable[[Run, pytest.MonkeyPatch], None]:
    def change(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        config = run.read_config()
        config["task"] |= {"base": env, "hide": []}
        run.write_config(config)

    return change


def no_pygame(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)


def no_opengl(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    other_env("Hopper-v5")(run, monkeypatch)
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setenv("PYOPENGL_PLATFORM", "none of these")  # MuJoCo's EGL and OSMesa refuse
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def egl_that_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "EGL")
    monkeypatch.setenv("PYOPENGL_PLATFORM", "osmesa")


def unknown_opengl(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "elg")


def no_ffmpeg(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: "false")  # ends at once, and not well


MISTAKES = [
    (nothing, ["nowhere"], "no run at nowhere"),
    (nothing, [], "RUN"),
    (nothing, ["run", "--size", "wide"], "--size must be WxH, as in 640x480, was 'wide'"),
    (nothing, ["run", "--size", "8x8"], "--size must be from 16 to 4096 pixels"),
    (nothing, ["run", "--out", "no/film"], "no such folder: no"),
    (nothing, ["run", "--every", "0"], "--every must be at least 1"),
    (nothing, ["run", "--max-steps", "0"], "--max-steps must be at least 1"),
    (no_model, ["run"], "run has no checkpoint yet"),
    (damaged_model, ["run"], "model.zip cannot be read"),
    (other_env("tests.lab.test_watch:Unseen-v0"), ["run"], "it lacks the render mode rgb_array"),
    (other_env("tests.lab.test_watch:Brushless-v0"), ["run"], "'pendulum-p' cannot be drawn: the brush is missing"),
    (other_env("tests.lab.test_watch:Grey-v0"), ["run"], "its pictures are (4, 4) of uint8"),
    (no_pygame, ["run"], 'pip install "gymnasium[classic'),
    (no_opengl, ["run"], "MuJoCo cannot draw here (tried egl, osmesa): install libegl1 or libosmesa6"),
    (egl_that_fails, ["run"], "MuJoCo cannot draw with egl, which MUJOCO_GL asks for: unset it, or install libegl1"),
    (unknown_opengl, ["run"], "MUJOCO_GL is 'elg' and must be one of glfw, egl, osmesa"),
    (no_ffmpeg, ["run"], "cannot write run/watch-0.mp4 and watch-0.gif: ffmpeg: exit code 1"),
]


@pytest.mark.parametrize(
    ("breaks", "arguments", "said"), MISTAKES, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_what_cannot_be_watched_is_one_line_and_leaves_no_file(
    cli: Cli, trained: Run, monkeypatch: pytest.MonkeyPatch, breaks: Callable, arguments: list[str], said: str
) -> None:
    breaks(trained, monkeypatch)
    before = everything_in(Path())
    done = cli("watch", *arguments)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1, done.err
    assert done.out == ""
    assert everything_in(Path()) == before


class Brushless(Counting):
    """Could be looked at, if it could."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.render_mode = render_mode

    def render(self):
        raise RuntimeError("the brush\nis missing")


class Grey(Brushless):
    """Without colours."""

    def render(self):
        return np.zeros((4, 4), np.uint8)


for name, env in {"Unseen": Counting, "Brushless": Brushless, "Grey": Grey}.items():
    gymnasium.register(f"{name}-v0", env, disable_env_checker=True)


def test_an_interrupted_film_leaves_no_file(trained: Run) -> None:
    before = everything_in(trained.folder)

    def interrupt(line: str) -> None:
        if line.startswith("t 7 "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch_run(trained.folder, size=SIZE, show=interrupt)
    assert everything_in(trained.folder) == before


@pytest.mark.system
@pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")
def test_the_hopper_is_seen_to_hop(tmp_path: Path) -> None:
    run = train(tiny_config("hopper-p", steps=64, video_every=64), tmp_path / "run").run
    ((step, clip),) = clips_of(run)
    assert step == 64
    check_hopper(read_gif(clip)[0], strip=len(read_gif(clip)[0][0]) - 120)
    watched = watch_run(run.folder, size=SIZE)
    (episode,) = watched.episodes
    pictures, fps = read_mp4(watched.mp4)
    assert len(pictures) == episode.length
    assert fps == 125.0
    check_hopper(pictures, strip=pictures.shape[1] - SIZE[1])
    assert os.environ["MUJOCO_GL"] in opengl.PACKAGES


def check_hopper(pictures: np.ndarray, strip: int) -> None:
    """The robot is orange, and the rest is grey and green."""
    check_lively(pictures, strip)
    red, _, blue = np.moveaxis(pictures[0, strip:].astype(int), -1, 0)
    assert (red - blue > 40).sum() > 20
