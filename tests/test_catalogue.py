from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from jamba_rl import catalogue
from jamba_rl.catalogue import Data, UserError
from jamba_rl.nn import JambaConfig

ROOT = catalogue.PACKAGE.parent


class Inner(Data):
    size: int = 1
    rate: float = 0.5


class Outer(Data):
    inner: Inner = Inner()
    network: JambaConfig = JambaConfig()
    sizes: tuple[int, ...] = ()
    title: str = ""


def message_of(data: dict) -> str:
    with pytest.raises(UserError) as caught:
        catalogue.check(Outer, data, "some.yaml")
    return str(caught.value)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_names_are_the_files_without_the_default() -> None:
    assert {"halfcheetah", "halfcheetah-p", "pendulum", "pendulum-p"} <= set(catalogue.names("envs"))
    assert "default" not in catalogue.names("envs")
    assert {"ppo-jamba", "ppo-ssm", "ppo-lstm", "ppo-mlp"} <= set(catalogue.names("agents"))
    assert "ppo" not in catalogue.names("agents")  # the defaults are no agent


def test_every_name_has_a_description() -> None:
    for kind in ("agents", "envs"):
        assert all(catalogue.descriptions(kind).values())


def test_a_path_is_read_as_such_and_a_bare_name_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = write(tmp_path / "ppo-jamba.yaml", "description: mine\n")
    monkeypatch.chdir(tmp_path)
    assert catalogue.find("agents", "ppo-jamba.yaml").resolve() == own
    assert catalogue.find("agents", str(own)) == own
    assert catalogue.find("agents", "ppo-jamba").resolve() != own
    with pytest.raises(UserError, match="no such file"):
        catalogue.find("agents", "elsewhere/ppo-jamba.yaml")


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UserError, match=r"^unknown agent 'ppo-jmba'; did you mean 'ppo-jamba'\? \(valid: .*\)$"):
        catalogue.find("agents", "ppo-jmba")
    with pytest.raises(UserError, match="did you mean 'pendulum-p'"):
        catalogue.find("envs", "Pendulum-P")  # capitals do not matter to what is near
    with pytest.raises(UserError) as caught:
        catalogue.find("agents", "zzz")
    assert "did you mean" not in str(caught.value)


def test_yaml_is_version_1_2(tmp_path: Path) -> None:
    data = catalogue.load(write(tmp_path / "a.yaml", "rate: 1e-4\nsteps: 300_000\nword: no\n"))
    assert data == {"rate": 1e-4, "steps": 300_000, "word": "no"}
    assert isinstance(data["rate"], float)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "duplicate"),
        ("a: [1\n", "line 2"),
        ("- 1\n", "top level"),
        ("", "top level"),
        ("a: !!python/object/apply:os.getcwd []\n", "line 1"),
        ("a: \0\n", "not YAML"),
    ],
)
def test_what_is_no_yaml_mapping_is_one_line_with_the_file(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path / "a.yaml", text)
    with pytest.raises(UserError) as caught:
        catalogue.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize("value", ["four", True, 1.5, None, [1], {"a": 1}, "4"])
def test_nothing_is_converted_to_an_int(value: object) -> None:
    message = message_of({"inner": {"size": value}})
    assert message.startswith("some.yaml: inner.size: must be a valid integer")
    assert "\n" not in message


def test_numbers_keep_their_kind_and_lists_fill_tuples() -> None:
    outer = catalogue.check(Outer, {"inner": {"rate": 1}, "sizes": [1, 2]}, "")
    assert outer.inner.rate == 1.0
    assert outer.sizes == (1, 2)
    assert "sizes.1" in message_of({"sizes": [1, "2"]})


def test_an_unknown_key_gets_the_nearest_at_its_own_level() -> None:
    assert "unknown key 'inner.sise'; did you mean 'inner.size'? (valid: rate, size)" in message_of(
        {"inner": {"sise": 1}}
    )
    assert "unknown key 'titel'; did you mean 'title'?" in message_of({"titel": ""})
    assert "unknown key 'network.patern'; did you mean 'network.pattern'?" in message_of({"network": {"patern": "M"}})


def test_a_value_that_a_dataclass_refuses_is_told_in_its_words() -> None:
    message = message_of({"network": {"pattern": "MX"}})
    assert message.startswith("some.yaml: network: pattern 'MX'")
    assert "valid integer" in message_of({"network": {"d_model": True}})


def test_what_was_read_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Outer().title = "other"


def test_merge_goes_into_mappings_and_changes_neither() -> None:
    base, over = {"a": {"x": 1, "y": {"z": 2}}, "b": [1]}, {"a": {"y": {"w": 3}}, "b": [2]}
    assert catalogue.merge(base, over) == {"a": {"x": 1, "y": {"z": 2, "w": 3}}, "b": [2]}
    assert base == {"a": {"x": 1, "y": {"z": 2}}, "b": [1]}
    assert over == {"a": {"y": {"w": 3}}, "b": [2]}


def test_dump_is_read_back_unchanged(tmp_path: Path) -> None:
    data = {
        "text": "yes: no",
        "dash": "-",
        "rate": 1e-7,
        "empty": None,
        "nested": {"list": [1, 2.5, "3"], "flag": True},
    }
    catalogue.dump(data, tmp_path / "a.yaml")
    assert catalogue.load(tmp_path / "a.yaml") == data


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_names_resolve_from_a_wheel_outside_any_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    program = (
        "from jamba_rl import catalogue\n"
        "from jamba_rl.tasks import load_task\n"
        "from jamba_rl.lab.agent import load_agent\n"
        "print(catalogue.PACKAGE, load_task('pendulum-p').protocol.steps, load_agent('ppo-jamba').batch_size)\n"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=elsewhere, env=environment, capture_output=True, text=True, check=True
    )
    package, steps, batch_size = done.stdout.split()
    assert Path(package) == tmp_path / "site" / "jamba_rl"
    assert (steps, batch_size) == ("100000", "256")


def test_the_wheel_holds_one_package_and_its_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"jamba_rl"}
    assert {"jamba_rl/py.typed", "jamba_rl/data/agents/defaults/ppo.yaml", "jamba_rl/data/envs/default.yaml"} <= set(
        names
    )
    files = (path for path in (ROOT / "jamba_rl/lab/report").glob("*/*") if path.is_file())
    report = {path.name for path in files if path.suffix not in (".py", ".pyc")}
    assert {"report.html.jinja", "report.css", "report.js"} <= report
    assert report <= {name.rpartition("/")[2] for name in names if name.startswith("jamba_rl/lab/report/")}
