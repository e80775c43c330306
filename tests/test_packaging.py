"""What `make` installs is what is tested."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from jamba_rl.catalogue import PACKAGE

ROOT = PACKAGE.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINES = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
PINS = {canonicalize_name(pin.name): pin for pin in map(Requirement, LINES)}


def requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    found = map(Requirement, [*PROJECT["dependencies"], *extras["peers"], *extras["dev"]])
    return [requirement for requirement in found if requirement.name != PROJECT["name"]]


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_requirement_is_pinned_within_its_range(requirement: Requirement) -> None:
    pin = PINS[canonicalize_name(requirement.name)]
    (exact,) = pin.specifier
    assert exact.operator == "=="
    assert requirement.specifier.contains(exact.version)


def test_pins_name_no_build_and_nothing_of_cuda() -> None:
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in LINES)
    assert not any(re.match("nvidia|cuda|triton", name) for name in PINS)


def test_what_is_pinned_is_what_these_tests_run_with() -> None:
    for name, pin in PINS.items():
        try:
            installed = version(name).partition("+")[0]
        except PackageNotFoundError:
            continue  # such as a package of another platform
        assert pin.specifier.contains(installed), f"{name}: {installed} is installed, pinned is {pin}"


def make(*arguments: str) -> str:
    """What make would run, without the set-up."""
    done = subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_make_train_is_one_command_that_can_be_varied() -> None:
    assert "jamba-rl train --env HalfCheetah-v4 --agent ppo-jamba" in make("train")
    varied = make("train", "ENV=pendulum-p", "AGENT=ppo-lstm", "STEPS=500", "ARGS=--seed 3")
    assert "jamba-rl train --env pendulum-p --agent ppo-lstm --steps 500 --seed 3" in varied


def test_make_test_names_what_it_does_not_run() -> None:
    assert "not run: the system tests" in make("test")


def test_torch_is_installed_first_and_from_its_own_index_if_given() -> None:
    lines = make("test", "VENV=no-such-venv", "TORCH_INDEX=torch.example", "INDEX=all.example").splitlines()
    first, second = (line for line in lines if "pip install" in line)
    assert first.endswith("--index-url torch.example torch")
    assert second.endswith("--index-url all.example --editable '.[dev]'")
    assert all("--constraint constraints.txt" in line for line in (first, second))
