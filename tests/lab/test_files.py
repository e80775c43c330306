from __future__ import annotations

from pathlib import Path

import pytest

from jamba_rl.catalogue import UserError
from jamba_rl.lab.files import Table, read_json, replacing


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as new:  # noqa: PT012
        new.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    with replacing(path) as new:
        new.write_text("new")
    assert path.read_text() == "new"


def test_two_processes_that_write_one_file_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    with replacing(path) as new:
        new.write_text("ours")
        monkeypatch.setattr("os.getpid", lambda: 1)
        with replacing(path) as theirs:
            theirs.write_text("theirs")
        assert path.read_text() == "theirs"
    assert path.read_text() == "ours"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_rows_are_appended_under_one_header_also_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    Table(path, ["step", "x"]).append({"step": 1, "x": 0.5})
    Table(path, ["step", "x"]).append({"step": 2, "x": 1.5})
    assert path.read_text() == "step,x\n1,0.5\n2,1.5\n"


def test_new_columns_leave_old_rows_empty_there(tmp_path: Path) -> None:
    table = Table(tmp_path / "a.csv")
    table.append({"b": 1})
    table.append({"c": 3, "a": 2})
    table.append({"a": 4, "b": 5})
    assert table.path.read_text() == "b,a,c\n1,,\n,2,3\n5,4,\n"
    assert Table(table.path).columns == ["b", "a", "c"]


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_line_that_a_kill_cut_off_is_no_row(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.csv"
    whole = "step,x\n1000,10\n2000,20\n"
    path.write_text(whole[:-cut])
    table = Table(path)
    assert [row["step"] for row in table.rows()] == ["1000"]
    table.keep(lambda row: True)
    table.append({"step": 2000, "x": 20})
    assert path.read_text() == whole


def test_keep_drops_the_other_rows(tmp_path: Path) -> None:
    table = Table(tmp_path / "a.csv", ["step"])
    for step in (1, 2, 3):
        table.append({"step": step})
    table.keep(lambda row: float(row["step"]) <= 2)
    assert table.path.read_text() == "step\n1\n2\n"
    Table(tmp_path / "none.csv").keep(lambda row: True)
    assert not (tmp_path / "none.csv").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1,2,3\n", "more values than it has columns"),
        (b"a,b\n\xff\xfe,2\n", "cannot be read: 'utf-8'"),
        (b"a,b\n" + b"1" * 200_000 + b",2\n", "cannot be read: field larger"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.csv .*{said}"):
        Table(path)


def test_numbers_are_checked_in_every_row(tmp_path: Path) -> None:
    table = Table(tmp_path / "a.csv", ["step", "x"])
    table.check_numbers("step", "x")  # there is none that could be wrong
    table.append({"step": 1, "x": "nan"})
    table.append({"step": 2})
    table.check_numbers("step")
    with pytest.raises(UserError, match=r"a\.csv: x must be a number, was ''$"):
        table.check_numbers("step", "x")
    with pytest.raises(UserError, match=r"a\.csv has no column 'y'$"):
        table.check_numbers("y")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "a.json is no JSON: Expecting"),
        (b"\xff", "a.json is no JSON: 'utf-8'"),
        (b"[1]", "a.json: needs keys and values at the top level"),
        (None, "a.json cannot be read: No such file"),
    ],
)
def test_what_is_no_json_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_json(path, dict)
    path.write_bytes(b"[1]")
    assert read_json(path, list) == [1]
