"""A lower floor never imports a higher one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import jamba_rl

PACKAGE = Path(jamba_rl.__file__).parent
MODULES = {
    ".".join(("jamba_rl", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}

# What each room may import of ours; the top of the package only collects public names.
MAY_IMPORT = {
    "catalogue": set(),
    "opengl": {"catalogue"},
    "version": set(),
    "kernels": {"kernels"},
    "nn": {"kernels", "nn"},
    "models": {"nn", "models"},
    "rl": {"kernels", "nn", "rl"},
    "tasks": {"catalogue", "opengl", "tasks"},
    "lab": {"catalogue", "opengl", "version", "kernels", "nn", "models", "rl", "tasks", "lab"},
    "cli": {"catalogue", "opengl", "version", "lab", "cli"},
    "__main__": {"cli"},
    "": {"catalogue", "version", "nn", "models", "rl", "tasks", "lab"},
}
# These meet training through files alone, so that they can be read and run where no torch is.
FILES_ONLY = [
    name
    for name in MODULES
    if name in ("jamba_rl.lab.run", "jamba_rl.lab.files")
    or f"{name}.".startswith(("jamba_rl.lab.stats.", "jamba_rl.lab.report."))
]


def room(module: str) -> str:
    return [*module.split("."), ""][1]


def imported(module: str) -> set[str]:
    """Every module that a module names in an import, wherever it stands."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute here"
            # `from a import b` names the module a.b if there is one, and else a
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update(name if name in MODULES else node.module for name in names)
    return found


def reached(module: str) -> set[str]:
    """Everything that is imported with a module, through ours and the packages that hold them."""
    seen: set[str] = set()
    queue = [module]
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in MODULES:
            parents = name.rpartition(".")[0]
            queue += [*imported(name), *([parents] if parents.count(".") else [])]
    return seen


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_stay_on_their_floor_or_below(module: str) -> None:
    assert room(module) in MAY_IMPORT, f"{module} is in a room that has no floor"
    rooms = {room(name) for name in imported(module) if name.split(".")[0] == "jamba_rl" and name != "jamba_rl"}
    assert rooms <= MAY_IMPORT[room(module)]


@pytest.mark.parametrize("name", FILES_ONLY)
def test_what_reads_files_reaches_no_torch(name: str) -> None:
    tops = {found.split(".")[0] for found in reached(name)}
    assert not tops & {"torch", "stable_baselines3", "gymnasium"}
    assert not {room(found) for found in reached(name) if found.startswith("jamba_rl.")} & {
        "nn",
        "rl",
        "tasks",
        "models",
    }


def test_nn_knows_torch_alone() -> None:
    tops = {name.split(".")[0] for module in MODULES if room(module) == "nn" for name in imported(module)}
    assert not tops & {"gymnasium", "stable_baselines3", "sb3_contrib", "pydantic", "ruamel"}


def test_reached_follows_imports_through_our_modules() -> None:
    assert "stable_baselines3" in {name.split(".")[0] for name in reached("jamba_rl.lab.train")}
    assert "torch" in {name.split(".")[0] for name in reached("jamba_rl.lab.config")}
