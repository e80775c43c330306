"""The tour is what its code makes, and its code still runs."""

import base64
import runpy
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

SCRIPT = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "tour"))
TOUR: Path = SCRIPT["TOUR"]


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures(cell: NotebookNode) -> list[bytes]:
    found = [output.get("data", {}).get("image/png") for output in cell.outputs]
    return [base64.b64decode(png) for png in found if png]


def text(notebook: NotebookNode) -> list[str]:
    """What cells have printed."""
    return [output.text for cell in code_cells(notebook) for output in cell.outputs if output.output_type == "stream"]


@pytest.fixture
def committed() -> NotebookNode:
    return nbformat.read(TOUR, as_version=4)


def test_pictures_are_of_the_code_beside_them(committed):
    assert committed.metadata["executed"] == SCRIPT["fingerprint"](committed), "the code changed: run scripts/tour"
    assert [cell.execution_count for cell in code_cells(committed)] == list(range(1, len(code_cells(committed)) + 1))


def test_every_cell_but_the_first_and_the_last_draws_one_picture(committed):
    first, *drawing, last = code_cells(committed)
    assert (first.outputs, pictures(last)) == ([], [])
    for cell in drawing:
        (png,) = pictures(cell)
        assert png.startswith(b"\x89PNG")
        assert len(png) > 5_000


def test_it_is_small_and_says_nothing_of_the_machine_that_made_it(committed):
    nbformat.validate(committed)
    assert TOUR.stat().st_size < 700_000
    kinds = {output.get("name", "picture") for cell in code_cells(committed) for output in cell.outputs}
    assert kinds == {"picture", "stdout"}
    words = "".join(cell.source for cell in committed.cells) + "".join(text(committed))
    assert not [hint for hint in ("/home", "/root", "/tmp", "/work", "/usr", "%|") if hint in words]
    assert set(committed.metadata) == {"kernelspec", "language_info", "executed"}


def test_executing_a_notebook_puts_nothing_into_the_folder_not_even_for_a_while(
    tmp_path_factory, tmp_path, monkeypatch
):
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp("own")))
    monkeypatch.chdir(tmp_path)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import os\nprint(os.listdir())")])
    SCRIPT["execute"](notebook)
    assert text(notebook) == ["[]\n"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_it_runs_from_the_top_and_what_it_claims_holds(committed, tmp_path, monkeypatch):
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):  # nothing of whoever runs the tests
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    notebook = nbformat.read(TOUR, as_version=4)
    for cell in code_cells(notebook):
        cell.outputs = []
    SCRIPT["execute"](notebook)  # its last cell asserts what the agent can do, and what it uses for it
    assert text(notebook) == text(committed) != []
    drawn, before = ([len(pictures(cell)) for cell in code_cells(each)] for each in (notebook, committed))
    assert drawn == before
