"""What a tuning was asked for stays what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from jamba_rl.catalogue import UserError
from jamba_rl.lab.agent import load_agent
from jamba_rl.lab.lock import alone_in
from jamba_rl.lab.tune.plan import Wishes, draft, read_plan, trial_config
from tests.lab.tune.quick import SETTINGS, quick_plan


def test_a_trial_is_what_was_asked_for(tmp_path: Path) -> None:
    plan = quick_plan(tmp_path, protocol=True)
    values = {"learning_rate": 0.002, "network.window": 8, "sequence_length": 16}
    config = trial_config(tmp_path / "tune", plan, values, seed=1)
    assert (config.seed, config.steps, config.task.protocol.evaluation.episodes) == (1, 256, 1)
    assert (config.agent.name, config.agent.learning_rate, config.agent.network.window) == ("ppo-jamba", 0.002, 8)
    assert config.agent.network.d_model == 8  # given
    assert (config.task.protocol.ppo.sequence_length, config.task.protocol.ppo.n_envs) == (16, 2)
    assert config.task.episode_steps == 20


def test_another_pattern_has_all_its_layers(tmp_path: Path) -> None:
    plan = quick_plan(tmp_path)
    assert trial_config(tmp_path / "tune", plan, {"network.pattern": "MAMA"}, 0).agent.network.pattern == "MAMA"


def test_short_trainings_are_still_looked_at_ten_times(tmp_path: Path) -> None:
    assert quick_plan(tmp_path).evaluation_every == 25
    long = draft("ppo-jamba", "pendulum-p", Wishes(trials=1, seeds=1)).plan
    assert (long.steps, long.evaluation_every, long.evaluations) == (100_000, 10_000, 10)


def test_the_folder_outlives_the_files_it_was_made_of(tmp_path: Path) -> None:
    plan = quick_plan(tmp_path)
    for name in ("short.yaml", "space.yaml"):
        (tmp_path / name).unlink()
    assert read_plan(tmp_path / "tune") == plan
    assert trial_config(tmp_path / "tune", plan, {"learning_rate": 0.1}, 0).task.name == "short"


def test_the_same_plan_goes_on_with_more_trials(tmp_path: Path) -> None:
    quick_plan(tmp_path)
    assert quick_plan(tmp_path, trials=9).trials == 9
    assert read_plan(tmp_path / "tune").trials == 9
    assert read_plan(tmp_path / "tune", trials=12).trials == 12
    assert read_plan(tmp_path / "tune").trials == 12


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"seeds": 3}, "is a tuning with seeds 2, not 3"),
        ({"steps": 512}, "is a tuning with steps 256, not 512"),
        ({"agent": "ppo-mamba"}, "is a tuning with agent 'ppo-jamba', not 'ppo-mamba'"),
        ({"sampler_seed": 1}, "is a tuning with sampler_seed 0, not 1"),
        ({"protocol": True}, "is a tuning with protocol False, not True"),
        ({"settings": (*SETTINGS, "clip_range=0.3")}, "is a tuning with agent.yaml: clip_range None, not 0.3"),
        ({"settings": (*SETTINGS, "gamma=0.5")}, "is a tuning with env.yaml: protocol.ppo.gamma 0.99, not 0.5"),
        ({"settings": (*SETTINGS, "learning_rate=0.1")}, "with space.learning_rate.low 0.0001, not None"),
    ],
)
def test_another_plan_is_refused(tmp_path: Path, over: dict, said: str) -> None:
    quick_plan(tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "tune").iterdir()}
    with pytest.raises(UserError) as caught:
        quick_plan(tmp_path, **over)
    assert said in str(caught.value)
    assert "give another --out" in str(caught.value)
    assert {path: path.read_bytes() for path in (tmp_path / "tune").iterdir()} == before


def test_seeds_of_reports_are_not_tuned_on(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--seeds must be at most 100"):
        quick_plan(tmp_path, seeds=101)
    assert not (tmp_path / "tune").exists()


def test_the_agent_is_kept_as_it_was_then(tmp_path: Path) -> None:
    quick_plan(tmp_path)
    agent = load_agent(str(tmp_path / "tune" / "agent.yaml"))
    assert (agent.name, agent.batch_size, agent.network.d_model) == ("ppo-jamba", 32, 8)


def test_no_plan_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tuning at"):
        read_plan(tmp_path)


def test_a_plan_that_has_lost_its_agent_is_one_line(tmp_path: Path) -> None:
    quick_plan(tmp_path)
    (tmp_path / "tune" / "agent.yaml").unlink()
    with pytest.raises(UserError, match=r"it has no agent\.yaml"):
        read_plan(tmp_path / "tune")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "tune").mkdir()
    (tmp_path / "tune" / "config.yaml").touch()
    with pytest.raises(UserError, match="already exists and holds no tuning"):
        quick_plan(tmp_path)
    assert [path.name for path in (tmp_path / "tune").iterdir()] == ["config.yaml"]


def test_what_a_kill_left_before_there_was_a_plan_is_no_hindrance(tmp_path: Path) -> None:
    quick_plan(tmp_path)
    (tmp_path / "tune" / "plan.yaml").rename(tmp_path / "tune" / "plan.yaml.123.part")
    assert quick_plan(tmp_path).trials == 4


def test_a_protocol_of_its_own_is_known(tmp_path: Path) -> None:
    def own(*settings: str, **over: bool) -> bool:
        return draft("ppo-jamba", "pendulum-p", Wishes(trials=1, seeds=1, settings=settings, **over)).plan.own_env  # type: ignore[arg-type]

    assert own("gamma=0.5")
    assert own(protocol=True)
    assert not own("learning_rate=0.1")


def test_a_plan_is_not_changed_under_one_who_tunes_by_it(tmp_path: Path) -> None:
    quick_plan(tmp_path)
    folder = tmp_path / "tune"
    before = (folder / "plan.yaml").read_text()
    with alone_in(folder, "tuning"):
        assert read_plan(folder).trials == 4
        with pytest.raises(UserError, match="another tuning is at work"):
            read_plan(folder, trials=12)
        with pytest.raises(UserError, match="another tuning is at work"):
            quick_plan(tmp_path)
    assert (folder / "plan.yaml").read_text() == before
