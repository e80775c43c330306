"""Builds the C kernels with the machine's compiler at first use, and keeps the result for the next process.

The library lies in the user's cache, under a name that stands for everything it depends on: sources, compiler, flags
and CPU. Two processes that build at once do no harm, each renames a finished file into place. Where the cache cannot
be written, the library is built in a private temporary folder. Where nothing can be built, :func:`library` returns
None and says why, once, through ``logging.getLogger("jamba_rl")``.
"""

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCES = Path(__file__).parent / "csrc"
FLAGS = ("-O3", "-fopenmp-simd", "-fno-math-errno", "-std=gnu11", "-shared", "-fPIC", "-pthread", "-w")
# Compilers that do not know the first for this CPU still build a slower library with the second.
TUNING = (("-march=native",), ())
OFF = ("0", "off", "false", "no")  # values of $JAMBA_RL_KERNEL, in any case


class BuildError(RuntimeError):
    """No library could be built; the message says why."""


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled kernels, or None if $JAMBA_RL_KERNEL is off or they cannot be built; the log says why."""
    if switched_off():
        return None
    try:
        return load()
    except (BuildError, OSError) as error:
        logging.getLogger("jamba_rl").warning("no compiled kernels, the slower torch path is used: %s", error)
        return None


def switched_off() -> bool:
    """Return whether the user wants no kernels: $JAMBA_RL_KERNEL says so."""
    return os.environ.get("JAMBA_RL_KERNEL", "").strip().lower() in OFF


def load() -> ctypes.CDLL:
    """Return the library from the cache, or build it first; raises BuildError or OSError."""
    compiler, folder = find_compiler(), cache_folder()
    if folder is None:
        return _load_from_temporary_folder(compiler)
    cached = folder / f"kernels-{fingerprint(compiler)}.so"
    try:
        return ctypes.CDLL(str(cached))
    except OSError:
        pass  # not built yet, or not readable: build it (again)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        build(compiler, cached)
    except OSError:
        return _load_from_temporary_folder(compiler)
    return ctypes.CDLL(str(cached))


def _load_from_temporary_folder(compiler: list[str]) -> ctypes.CDLL:
    # A loaded library stays loaded when its file goes. (Windows would refuse; there is no build there.)
    with tempfile.TemporaryDirectory(prefix="jamba_rl-") as folder:
        path = Path(folder) / "kernels.so"
        build(compiler, path)
        return ctypes.CDLL(str(path))


def cache_folder() -> Path | None:
    """Return the folder of compiled kernels, which need not exist; None for a user without a home."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():  # the specification says to ignore any other
        return base / "jamba_rl"
    try:
        return Path.home() / ".cache" / "jamba_rl"
    except RuntimeError:
        return None


def find_compiler() -> list[str]:
    """Return the words of the compiler's command, that of $CC if it is set; raises BuildError if there is none."""
    if os.environ.get("CC"):
        try:
            command = shlex.split(os.environ["CC"])
        except ValueError as error:
            raise BuildError(f"CC={os.environ['CC']}: {error}") from error
        if not command or not shutil.which(command[0]):
            raise BuildError(f"CC={os.environ['CC']}: no such program")
        return command
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    raise BuildError("no C compiler (cc, gcc or clang; set CC to name one)")


def fingerprint(compiler: list[str]) -> str:
    """Return a short hash of all that the library depends on."""
    version = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=False).stdout
    sources = [path.read_text() for path in sorted(SOURCES.iterdir())]
    parts = [*sources, *compiler, version, *FLAGS, str(TUNING), _cpu()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _cpu() -> str:
    # The feature flags count as well as the name: virtual machines hide some of a CPU's instructions.
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    keys = ("model name", "flags", "Features", "CPU part")
    first = {key: line for key in keys for line in reversed(lines) if line.startswith(key)}
    return "\n".join([platform.machine(), platform.processor(), *first.values()])


def build(compiler: list[str], target: Path) -> None:
    """Compile the sources into the file ``target``, which appears complete or not at all.

    Raises:
        BuildError: the compiler failed; the message has its last words.
        OSError: the target's folder cannot be written.
    """
    handle, unfinished = tempfile.mkstemp(suffix=".so", dir=target.parent)
    os.close(handle)
    try:
        for tuning in TUNING:
            command = [*compiler, *FLAGS, *tuning, "-o", unfinished, *map(str, sorted(SOURCES.glob("*.c"))), "-lm"]
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise BuildError(f"{shlex.join(compiler)}: {error}") from error
            if done.returncode == 0:
                os.chmod(unfinished, 0o755)
                os.replace(unfinished, target)
                return
        raise BuildError(f"{compiler[0]} failed: {done.stderr.strip()[-500:]} ({shlex.join(command)})")
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
