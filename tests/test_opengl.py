from __future__ import annotations

import os

import pytest

from jamba_rl import opengl
from jamba_rl.catalogue import UserError


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A headless Linux where only OSMesa works; the libraries that are tried there."""
    names: list[str] = []

    def works(name: str) -> bool:
        names.append(name)
        return name == "osmesa"

    monkeypatch.setattr(opengl, "works", works)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("MUJOCO_GL", "")  # so that it is restored
    for display in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(display, raising=False)
    return names


def test_the_first_that_works_is_taken(tried: list[str]) -> None:
    opengl.choose_backend()
    assert (os.environ["MUJOCO_GL"], tried) == ("osmesa", ["egl", "osmesa"])


@pytest.mark.parametrize("display", ["DISPLAY", "WAYLAND_DISPLAY"])
def test_glfw_needs_a_display(tried: list[str], monkeypatch: pytest.MonkeyPatch, display: str) -> None:
    monkeypatch.setenv(display, ":0")
    opengl.choose_backend()
    assert tried == ["glfw", "egl", "osmesa"]


def test_other_systems_have_glfw_alone(tried: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(UserError, match=r"tried glfw"):
        opengl.choose_backend()
    assert tried == ["glfw"]


def test_a_wish_is_respected(tried: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", " OSMesa ")
    opengl.choose_backend()
    assert (os.environ["MUJOCO_GL"], tried) == ("osmesa", ["osmesa"])
    monkeypatch.setenv("MUJOCO_GL", "egl")
    with pytest.raises(UserError, match="cannot draw with egl, which MUJOCO_GL asks for"):
        opengl.choose_backend()
    assert os.environ["MUJOCO_GL"] == "egl"


@pytest.mark.system
def test_what_is_chosen_here_works() -> None:
    assert any(map(opengl.works, opengl.candidates()))
