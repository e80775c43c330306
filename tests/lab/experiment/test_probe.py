from __future__ import annotations

from pathlib import Path

import pytest

from jamba_rl.lab.config import RunConfig
from jamba_rl.lab.experiment.probe import missing, put_to
from jamba_rl.lab.experiment.spec import Probe
from jamba_rl.lab.experiment.worker import work
from jamba_rl.lab.files import Table
from jamba_rl.lab.run import Run
from jamba_rl.lab.train import train
from tests.conftest import tiny_config

PROBES = (Probe(name="no-memory", memory=False), Probe(name="noisy", noise=0.5))


def scores(folder: Path) -> dict[str, str]:
    return {row["probe"]: row["mean_reward"] for row in Table(folder / "probes.csv").rows()}


def test_an_agent_is_put_to_probes_after_its_training(trained: Run) -> None:
    put_to(missing(trained.folder, PROBES), trained.folder)
    found = scores(trained.folder)
    assert list(found) == ["plain", "no-memory", "noisy"]
    assert len(set(found.values())) == 3  # it has a memory, and sensors
    assert missing(trained.folder, PROBES) == []


def test_who_has_no_memory_does_not_miss_it(tmp_path: Path) -> None:
    run = train(tiny_config(agent="ppo-mlp", steps=64, every=64), tmp_path / "run").run
    put_to(missing(run.folder, PROBES), run.folder)
    found = scores(run.folder)
    assert found["plain"] == found["no-memory"] != found["noisy"]


def test_who_has_a_noise_of_its_own_plays_without_it_too(tmp_path: Path) -> None:
    config = tiny_config(agent="ppo-mlp", steps=64, every=64)
    noisy = config.model_copy(update={"task": config.task.model_copy(update={"noise": 0.5})})
    run = train(noisy, tmp_path / "run").run
    put_to(missing(run.folder, [Probe(name="clean", noise=0.0), Probe(name="noisy", noise=0.5)]), run.folder)
    found = scores(run.folder)
    assert found["plain"] == found["noisy"] != found["clean"]


def order(config: RunConfig) -> dict:
    return {"config": config.model_dump(mode="json"), "probes": [probe.model_dump() for probe in PROBES]}


def test_a_worker_does_what_is_left(trained: Run) -> None:
    files = ("model.zip", "result.json", "provenance.json")
    before = [(trained.folder / name).stat().st_mtime_ns for name in files]
    put_to([Probe(name="plain")], trained.folder)
    with (trained.folder / "probes.csv").open("a") as file:
        file.write("no-memory,False,,-12")  # cut off by a kill
    assert [probe.name for probe in missing(trained.folder, PROBES)] == ["no-memory", "noisy"]
    work(order(tiny_config()), trained.folder)
    found = scores(trained.folder)
    assert list(found) == ["plain", "no-memory", "noisy"]
    assert float(found["no-memory"]) < -100
    assert [(trained.folder / name).stat().st_mtime_ns for name in files] == before  # and it is not trained again


@pytest.mark.parametrize("content", ["probe,mean_reward\nplain,3\n", "probe\nplain,1,2\n", "\xff", "probe,memory\n"])
def test_a_damaged_table_is_made_again(trained: Run, content: str) -> None:
    put_to(missing(trained.folder, PROBES), trained.folder)
    whole = (trained.folder / "probes.csv").read_text()
    (trained.folder / "probes.csv").write_text(content, encoding="latin-1")
    assert [probe.name for probe in missing(trained.folder, PROBES)] == ["plain", "no-memory", "noisy"]
    put_to(missing(trained.folder, PROBES), trained.folder)
    assert (trained.folder / "probes.csv").read_text() == whole


def test_a_probe_that_became_another_is_made_again(trained: Run) -> None:
    put_to(missing(trained.folder, PROBES), trained.folder)
    first = scores(trained.folder)
    changed = (PROBES[0], Probe(name="noisy", noise=2.0))
    assert missing(trained.folder, changed) == [changed[1]]
    put_to([changed[1]], trained.folder)
    assert missing(trained.folder, changed) == []
    second = scores(trained.folder)
    assert second.keys() == first.keys()
    assert [name for name in first if first[name] != second[name]] == ["noisy"]


@pytest.mark.parametrize("memory", [True, False])
def test_the_same_probe_has_the_same_score(trained: Run, tmp_path: Path, memory: bool) -> None:
    seen = []
    for name in ("one", "other"):
        put_to([Probe(name=name, memory=memory, noise=0.1)], trained.folder)
        seen.append(scores(trained.folder)[name])
    assert seen[0] == seen[1]
