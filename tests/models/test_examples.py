"""The examples run; what they learn takes longer than a test may."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, ROOT / "examples" / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def check_provenance(folder: Path, **arguments: object) -> None:
    about = json.loads((folder / "provenance.json").read_text())
    assert about["arguments"].items() >= arguments.items()
    assert about["threads"] == about["arguments"]["threads"] == 1
    assert {"torch", "jamba-rl"} <= about["versions"].keys()
    assert {"command", "git"} <= about.keys()


def test_plain_ppo_trains():
    assert "2048 steps: return" in run("plain_ppo.py", "2048", "1")


def test_language_models_of_equal_size_are_compared(tmp_path):
    run("language.py", "--compare", "--steps", "2", "--d-model", "16", "--batch", "2", "--out", str(tmp_path))
    rows = json.loads((tmp_path / "language.json").read_text())
    assert [row["stack"] for row in rows] == ["hybrid", "mamba", "attention"]
    sizes = [row["parameters"] for row in rows]
    assert max(sizes) < 1.02 * min(sizes)
    assert all(4 < row["bits_per_byte"] < 9 for row in rows)
    assert all(row["sample"].startswith('The "for" statement') for row in rows)
    check_provenance(tmp_path, steps=2, lr=3e-3, dropout=0.0)


@pytest.mark.parametrize("tokens", ["patches", "one"])
def test_image_models_of_equal_size_are_compared(tmp_path, tokens):
    run("digits.py", "--epochs", "1", "--batch", "256", "--tokens", tokens, "--out", str(tmp_path))
    rows = json.loads((tmp_path / "digits.json").read_text())
    assert [row["model"] for row in rows] == ["dhc-jamba", "dhc-ssm"]
    sizes = [row["parameters"] for row in rows]
    assert max(sizes) < 1.01 * min(sizes)
    check_provenance(tmp_path, epochs=1, lr=3e-3, tokens=tokens)
