from __future__ import annotations

from pathlib import Path

from jamba_rl.lab.report import make_study
from jamba_rl.lab.report.compose import compose
from jamba_rl.lab.report.numbers import NOTHING
from jamba_rl.lab.report.page import Section
from jamba_rl.lab.report.sections.probes import probes
from tests.lab.report.runs import flat
from tests.lab.report.test_sections import rows

REFERENCE = {"task": {"reference": {"random": 0.0, "score": 100.0}}}


def put_to(run: Path, **scores: float) -> None:
    lines = [f"{name},{score},1.0,200.0,20" for name, score in scores.items()]
    header = "probe,mean_reward,std_reward,mean_length,episodes"
    (run / "probes.csv").write_text("\n".join([header, *lines]) + "\n")


def made(results: Path) -> Section:
    for agent in ("ppo-jamba", "ppo-mlp"):
        flat(results / "runs", agent, "a", [50.0, 60.0], over=REFERENCE)
    jamba, mlp = (sorted((results / "runs").glob(f"**/{agent}/*")) for agent in ("ppo-jamba", "ppo-mlp"))
    put_to(jamba[0], plain=50.0, blind=10.0, noisy=40.0)
    put_to(jamba[1], plain=70.0, blind=20.0, noisy=50.0)
    put_to(mlp[0], plain=30.0, blind=30.0)
    (mlp[1] / "probes.csv").write_text("probe,mean_reward\nplain,many\n")
    section = probes(make_study(results))
    assert section is not None
    return section


def test_what_is_left_stands_next_to_what_was_there(tmp_path: Path) -> None:
    section = made(tmp_path)
    assert section.parts[0].columns == ("agent", "as it is", "blind", "noisy")  # type: ignore[union-attr]
    assert rows(section) == ["a | ppo-jamba | 60.0 | 15.0 | 45.0", f"a | ppo-mlp | 30.0 | 30.0 | {NOTHING}"]


def test_the_finding_is_who_loses_most(tmp_path: Path) -> None:
    section = made(tmp_path)
    assert section.finding == "`blind` costs `ppo-jamba` most, 75% of what it gains over random actions on a."
    assert section in compose(make_study(tmp_path)).sections


def test_where_nobody_was_probed_nothing_is_said(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-jamba", "a", [1.0])
    assert probes(make_study(tmp_path)) is None
