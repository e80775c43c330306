from __future__ import annotations

from pathlib import Path

import pytest

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.tasks import load_task


def own_task(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_values_come_from_the_task_then_its_twin_then_the_default(tmp_path: Path) -> None:
    default = catalogue.load(catalogue.folder("envs") / "default.yaml")["protocol"]
    name = own_task(
        tmp_path,
        "base: Pendulum-v1\nhide: [2]\nsighted: pendulum\nprotocol: {evaluation: {episodes: 3}, ppo: {n_steps: 8}}\n",
    )
    own, twin = load_task(name).protocol, load_task("pendulum").protocol
    assert (own.evaluation.episodes, own.ppo.n_steps) == (3, 8)
    assert (own.steps, own.evaluation.every, own.ppo.gamma) == (twin.steps, twin.evaluation.every, twin.ppo.gamma)
    assert own.ppo.gae_lambda == default["ppo"]["gae_lambda"]
    assert default["ppo"]["gamma"] != 0.9  # so the twin was asked


def test_a_part_may_have_steps_and_evaluation_of_its_own(tmp_path: Path) -> None:
    ppo, sac = load_task("pendulum-p").protocol, load_task("pendulum-p", "sac").protocol
    assert (ppo.steps, sac.steps) == (100_000, 30_000)
    assert (ppo.evaluation.every, sac.evaluation.every) == (10_000, 2_000)
    assert ppo.evaluation.episodes == sac.evaluation.episodes
    assert (ppo.ppo, ppo.sac) == (sac.ppo, sac.sac)
    assert load_task("Pendulum-v1", "sac").protocol == sac
    # a file's own values go over those of its twin, even where the twin's are the part's and its own are not
    whole = own_task(tmp_path, "base: Pendulum-v1\nsighted: pendulum\nprotocol: {steps: 7}\n")
    assert (load_task(whole).protocol.steps, load_task(whole, "sac").protocol.steps) == (7, 7)
    own = own_task(tmp_path, "base: Pendulum-v1\nprotocol: {sac: {steps: 8, evaluation: {episodes: 2}}}\n")
    assert load_task(own, "sac").protocol.steps == 8
    assert load_task(own, "sac").protocol.evaluation.episodes == 2
    assert load_task(own).protocol.steps == 1_000_000


def test_a_gymnasium_id_takes_the_protocol_of_the_task_that_is_that_env() -> None:
    pendulum = load_task("pendulum")
    assert load_task("Pendulum-v1").protocol == pendulum.protocol
    assert load_task("Pendulum-v1").hide == ()
    cheetah = load_task("halfcheetah").protocol
    assert load_task("HalfCheetah-v4").protocol == load_task("HalfCheetah-v5").protocol == cheetah
    assert (
        load_task("Acrobot-v1").protocol.model_dump()
        == catalogue.load(catalogue.folder("envs") / "default.yaml")["protocol"]
    )


def test_of_two_versions_each_has_its_own_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "default.yaml").write_text((catalogue.folder("envs") / "default.yaml").read_text())
    for name, version in (("newer", 5), ("older", 4)):
        text = f"base: HalfCheetah-v{version}\nprotocol: {{steps: {version}}}\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    monkeypatch.setattr(catalogue, "folder", lambda kind: tmp_path)
    assert [load_task(f"HalfCheetah-v{version}").protocol.steps for version in (4, 5)] == [4, 5]


def test_a_module_before_the_id_is_imported() -> None:
    assert load_task("gymnasium.envs:Pendulum-v1").base == "gymnasium.envs:Pendulum-v1"
    with pytest.raises(UserError, match="cannot import 'no_such_package'"):
        load_task("no_such_package:Env-v0")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("pendulm-p", "pendulum-p"),
        ("HalfCheeta-v4", "HalfCheetah-v4"),
        ("HalfCheetah", "halfcheetah"),
        ("Pushr-v5", "Pusher-v5"),
    ],
)
def test_an_unknown_name_gets_the_nearest_of_tasks_and_ids(given: str, meant: str) -> None:
    with pytest.raises(UserError, match=f"unknown env '{given}'; did you mean '{meant}'"):
        load_task(given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base: Pendulum-v1\nhied: [2]\n", "unknown key 'hied'; did you mean 'hide'"),
        ("hide: [2]\n", "key 'base' is missing"),
        ("base: Pendulum-v1\nhide: [velocity]\n", "'velocity' is neither an observation number nor one of"),
        ("base: Pendulum-v1\nhide: [-1]\n", "hide.0"),
        ("base: Pendulum-v1\nhide: [true]\n", "hide.0"),
        ("base: Pendulum-v1\nhide: 2\n", "hide"),
        ("base: Pendulum-v1\nprotocol: {steps: many}\n", "protocol.steps: must be a valid integer"),
        ("base: Pendulum-v1\nprotocol: {steps: 0}\n", "protocol.steps: must be greater than 0"),
        ("base: Pendulum-v1\nprotocol: {ppo: {n_envs: true}}\n", "protocol.ppo.n_envs: must be a valid integer"),
        ("base: Pendulum-v1\nprotocol: {ppo: {gamma: 1.5}}\n", "protocol.ppo.gamma: must be less than or equal to 1"),
        ("base: Pendulum-v1\nprotocol: {ppo: {n_env: 4}}\n", "did you mean 'protocol.ppo.n_envs'"),
        ("base: Pendulum-v1\nprotocol: {sac: {gradient_steps: -2}}\n", "protocol.sac.gradient_steps: must be greater"),
        ("base: Pendulum-v1\nprotocol: {sac: {n_steps: 4}}\n", "unknown key 'protocol.sac.n_steps'"),
        ("base: Pendulum-v1\nprotocol: {ppo: 4}\n", "protocol.ppo: must be"),
        ("base: Pendulum-v1\nprotocol: 3\n", "protocol"),
        ("base: Pendulum-v1\nsighted: pendulm\n", "did you mean 'pendulum'"),
    ],
)
def test_a_mistake_in_a_task_is_one_line_with_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    name = own_task(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load_task(name)
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert said in message
    assert "\n" not in message
