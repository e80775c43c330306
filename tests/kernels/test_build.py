"""The kernels are built once, safely, and everything works without them."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from jamba_rl.kernels import build, library
from jamba_rl.nn.scan import causal_conv_silu, selective_scan
from tests.nn.scan.problems import needs_kernel, scan_problem, single

compiles = pytest.mark.skipif(bool(needs_kernel), reason=str(needs_kernel))

# build.py needs nothing but the standard library: a process that loads it alone starts at once.
LOAD = f"""
import importlib.util
spec = importlib.util.spec_from_file_location("build", {build.__file__!r})
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)
build.load().jamba_scan_forward
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "jamba_rl"


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch):
    """Forget what this process has loaded, before and after."""
    monkeypatch.delenv("JAMBA_RL_KERNEL", raising=False)
    for function in (build.library, library.kernels):
        function.cache_clear()
    yield
    for function in (build.library, library.kernels):
        function.cache_clear()


@compiles
def test_two_processes_may_build_at_once_and_later_ones_build_nothing(cache):
    processes = [subprocess.Popen([sys.executable, "-c", LOAD]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    [built] = cache.iterdir()  # one library, nothing unfinished
    before = built.stat().st_mtime_ns
    build.load()
    assert built.stat().st_mtime_ns == before


@compiles
def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # no folder: not even root can write there
    assert build.load().jamba_scan_forward


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(build.Path, "home", no_home)
    assert build.cache_folder() is None


@compiles
def test_a_broken_library_is_built_again(cache, monkeypatch):
    cache.mkdir(parents=True)
    name = f"kernels-{build.fingerprint(build.find_compiler())}.so"
    (cache / name).write_bytes(b"not a library")
    assert build.load().jamba_scan_forward


def no_compiler() -> list[str]:
    raise build.BuildError("no C compiler")


def test_without_a_compiler_everything_works_and_it_is_said_once(monkeypatch, caplog, fresh):
    problem = single(scan_problem())
    expected = [y.detach() for y in selective_scan(**problem, backend="torch")]
    monkeypatch.setattr(build, "find_compiler", no_compiler)
    with caplog.at_level(logging.INFO, logger="jamba_rl"):
        for _ in range(2):
            y, state = selective_scan(**problem)
            causal_conv_silu(problem["x"], torch.ones(5, 4))
    assert torch.equal(y, expected[0])
    assert torch.equal(state, expected[1])
    assert [record.message for record in caplog.records] == [
        "no compiled kernels, the slower torch path is used: no C compiler"
    ]
    with pytest.raises(RuntimeError, match="no compiled kernel"):
        selective_scan(**problem, backend="cpu")


def test_a_compiler_that_fails_is_quoted(cache, monkeypatch, caplog, fresh, tmp_path):
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'no such option' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", f"{compiler} -pedantic")
    with caplog.at_level(logging.INFO, logger="jamba_rl"):
        assert build.library() is None
    [record] = caplog.records
    assert f"path is used: {compiler} failed: no such option" in record.message
    assert not list(cache.iterdir())


def test_a_compiler_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler -O1")
    with pytest.raises(build.BuildError, match="CC=no-such-compiler -O1: no such program"):
        build.find_compiler()


@pytest.mark.parametrize("command", ["  ", "'x"])
def test_a_compiler_that_is_no_command_is_named(monkeypatch, command):
    monkeypatch.setenv("CC", command)
    with pytest.raises(build.BuildError, match=f"CC={command}: "):
        build.find_compiler()


@pytest.mark.parametrize("base", ["", "cache", "./cache"])
def test_a_cache_that_is_not_absolute_is_ignored(monkeypatch, base):
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    assert build.cache_folder() == Path.home() / ".cache" / "jamba_rl"


@pytest.mark.parametrize("off", ["0", "off", "FALSE", "no"])
def test_the_kernel_can_be_switched_off_without_a_word(monkeypatch, caplog, fresh, off):
    monkeypatch.setenv("JAMBA_RL_KERNEL", off)
    with caplog.at_level(logging.INFO, logger="jamba_rl"):
        selective_scan(**single(scan_problem()))
    assert build.library() is None
    assert not caplog.records


def test_another_compiler_source_or_cpu_is_another_library(monkeypatch):
    before = build.fingerprint(["cc"])
    assert build.fingerprint(["cc", "-O1"]) != before
    monkeypatch.setattr(build, "_cpu", lambda: "another CPU")
    assert build.fingerprint(["cc"]) != before
