from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from jamba_rl.lab import provenance


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "package").mkdir()
    (tmp_path / "code.py").write_text("1\n")
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "package")
    return tmp_path


def test_code_is_named_by_its_commit_and_whether_it_was_changed(checkout: Path) -> None:
    git(checkout, "init")
    assert provenance.git_state() is None  # nothing committed yet
    git(checkout, "add", "code.py")
    git(checkout, "commit", "-m", "first")
    state = provenance.git_state()
    assert state is not None
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (checkout / "code.py").write_text("2\n")
    assert provenance.git_state() == {"commit": state["commit"], "dirty": True}


def test_an_installed_package_does_not_name_the_checkout_around_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(checkout, "init")
    git(checkout, "add", "code.py")
    git(checkout, "commit", "-m", "first")
    site = checkout / ".venv" / "site-packages"
    (site / "package").mkdir(parents=True)
    monkeypatch.setattr(provenance, "PACKAGE", site / "package")
    assert provenance.git_state() is None


def test_versions_are_those_that_are_installed() -> None:
    versions = provenance.collect()["versions"]
    assert versions["torch"] == version("torch")
    assert versions["mujoco"] == version("mujoco")
    assert all(versions.values())
