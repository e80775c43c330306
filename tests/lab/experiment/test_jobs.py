from __future__ import annotations

from pathlib import Path

import pytest

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.config import configure
from jamba_rl.lab.experiment.compare import measure_sizes
from jamba_rl.lab.experiment.jobs import Wishes, make_jobs
from jamba_rl.lab.experiment.read import read_experiment
from jamba_rl.lab.run import Run
from tests.lab.experiment.grids import jobs_of, write_config


@pytest.mark.parametrize("name", catalogue.names("configs"))
def test_every_config_that_ships_can_be_run(name: str, tmp_path: Path) -> None:
    jobs = make_jobs(read_experiment(name), tmp_path)
    assert jobs
    assert all(job.config.seed >= 100 for job in jobs)  # lower ones are for tuning


@pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")
def test_the_example_of_the_guide_can_be_run(tmp_path: Path) -> None:
    guide = (catalogue.PACKAGE.parent / "docs/guide.md").read_text()
    (example,) = (part for part in guide.split("```") if part.startswith("yaml\ndescription: Who needs a memory?"))
    (tmp_path / "mine.yaml").write_text(example.removeprefix("yaml\n"))
    experiment = read_experiment(str(tmp_path / "mine.yaml"))
    jobs = make_jobs(experiment, tmp_path)
    assert len(jobs) == 4 * 2 * 5
    assert measure_sizes(jobs)["hopper-p"].keys() == {"ppo-jamba", "ppo-mlp", "jamba-MMMA", "jamba-taught"}


def test_one_seed_of_everything_comes_before_the_next_seed(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path / "mine.yaml", tmp_path, envs=["pendulum", "pendulum-p"])
    assert [job.name for job in jobs[:5]] == [
        "pendulum ppo-jamba 100",
        "pendulum ppo-mlp 100",
        "pendulum-p ppo-jamba 100",
        "pendulum-p ppo-mlp 100",
        "pendulum ppo-jamba 101",
    ]
    assert jobs[2].folder == tmp_path / "runs/pendulum-p/ppo-jamba/100"


def test_a_run_is_what_train_would_make_of_the_same_wishes(tmp_path: Path) -> None:
    path = write_config(tmp_path / "a.yaml", agents=["ppo-mlp", "sac-mlp"], set={}, protocol=None, seeds=[3])
    path.write_text(path.read_text().replace("set:", "set: {}\n#"))
    catalogue.dump({"agents": ["ppo-mlp", "sac-mlp"], "envs": ["pendulum-p"], "seeds": [3]}, path)
    for job, agent in zip(make_jobs(read_experiment(str(path)), tmp_path), ("ppo-mlp", "sac-mlp"), strict=True):
        assert job.config == configure("pendulum-p", agent, seed=3)


def test_the_command_line_goes_over_the_config_and_that_over_the_task(tmp_path: Path) -> None:
    own = {"steps": 512, "ppo": {"gamma": 0.5}}
    path = write_config(tmp_path / "mine.yaml", seeds=1, protocol=own)
    wishes = Wishes({"steps": 1024}, ("batch_size=64", "gae_lambda=0.7"))
    (job, _), (wished, _) = (make_jobs(read_experiment(str(path)), tmp_path, each) for each in (None, wishes))
    protocol = job.config.task.protocol
    assert (protocol.steps, protocol.ppo.gamma, protocol.ppo.log_std_init) == (512, 0.5, 0.0)  # the pendulum's own 0.0
    assert job.config.agent.batch_size == 32
    protocol = wished.config.task.protocol
    assert (protocol.steps, protocol.ppo.gamma, protocol.ppo.gae_lambda) == (1024, 0.5, 0.7)
    assert wished.config.agent.batch_size == 64


def test_a_variant_is_an_agent_with_a_name_of_its_own(tmp_path: Path) -> None:
    variant = {"name": "jamba-MMMA", "from": "ppo-jamba", "set": {"network": {"pattern": "MMMA"}}}
    jobs = jobs_of(tmp_path / "mine.yaml", tmp_path, agents=["ppo-jamba", variant], seeds=1)
    assert [job.config.agent.name for job in jobs] == ["ppo-jamba", "jamba-MMMA"]
    assert [job.config.agent.network.pattern for job in jobs] == ["AM", "MMMA"]
    assert {job.config.agent.network.d_model for job in jobs} == {8}  # what is set for all is set for it too
    assert jobs[1].folder.parent.name == "jamba-MMMA"


def test_a_run_that_stands_in_two_grids_is_one_run(tmp_path: Path) -> None:
    assert len(jobs_of(tmp_path / "mine.yaml", tmp_path, grids=[{}, {"seeds": 3}])) == 6
    with pytest.raises(
        UserError, match=r"grids.1: pendulum-p ppo-jamba 100 is there already, with task.protocol.steps"
    ):
        jobs_of(tmp_path / "mine.yaml", tmp_path, grids=[{}, {"protocol": {"steps": 512}}])


MISTAKES = [
    ({"agents": ["ppo-mlp", "ppo-jmba"]}, "agents.1: unknown agent 'ppo-jmba'; did you mean 'ppo-jamba'?"),
    ({"envs": ["pendulm-p"]}, "envs.0: unknown env 'pendulm-p'; did you mean 'pendulum-p'?"),
    ({"protocol": {"stps": 5}}, "unknown key 'protocol.stps'; did you mean 'protocol.steps'?"),
    ({"protocol": {"steps": "many"}}, "protocol.steps: must be a valid integer"),
    ({"protocol": {"ppo": {"gama": 0.9}}}, "did you mean 'protocol.ppo.gamma'?"),
    ({"set": {"batchsize": 5}}, "set: unknown key 'batchsize'; did you mean 'batch_size'?"),
    ({"set": {"network": {"patern": "M"}}}, "set: unknown key 'network.patern'"),
    ({"set": {"gamma": 0.9}}, "set: unknown key 'gamma'"),
    (
        {"agents": ["ppo-mlp", {"name": "a", "from": "ppo-jamba", "set": {"network": {"pattern": "MX"}}}]},
        "agents.1.set: network: pattern 'MX'",
    ),
    ({"agents": [{"name": "a", "from": "ppo-mlp", "start": "pendulm"}]}, "agents.0.start: unknown env 'pendulm'"),
    (
        {"agents": ["ppo-jamba-window"], "set": {}, "probes": [{"name": "no-memory", "memory": False}]},
        "agent 'ppo-jamba-window' has its memory in what it sees",
    ),
    ({"grids": [{}, {"envs": ["hoper"]}]}, "grids.1: envs.0: unknown env 'hoper'"),
]


@pytest.mark.parametrize(("over", "said"), MISTAKES, ids=lambda value: str(value)[:50])
def test_a_mistake_names_file_and_key(tmp_path: Path, over: dict, said: str) -> None:
    path = tmp_path / "mine.yaml"
    with pytest.raises(UserError) as caught:
        jobs_of(path, tmp_path, **over)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_with_another_run_is_refused(tmp_path: Path) -> None:
    (job, *_) = jobs_of(tmp_path / "mine.yaml", tmp_path)
    Run.create(job.folder, job.config.model_dump(mode="json"))
    assert jobs_of(tmp_path / "mine.yaml", tmp_path)[0].begun
    with pytest.raises(UserError, match=r"100 was trained with task.protocol.steps 256, .*mine.yaml says 512"):
        jobs_of(tmp_path / "mine.yaml", tmp_path, protocol={"steps": 512})
    (tmp_path / "runs/pendulum-p/ppo-mlp/100").mkdir(parents=True)
    (tmp_path / "runs/pendulum-p/ppo-mlp/100/error.txt").touch()
    assert jobs_of(tmp_path / "mine.yaml", tmp_path)
    (tmp_path / "runs/pendulum-p/ppo-mlp/100/diary.txt").touch()
    with pytest.raises(UserError, match="holds something that is no run"):
        jobs_of(tmp_path / "mine.yaml", tmp_path)


def test_a_run_that_is_older_than_a_key_had_its_default(tmp_path: Path) -> None:
    (job, *_) = jobs_of(tmp_path / "mine.yaml", tmp_path)
    data = job.config.model_dump(mode="json")
    del data["stop"], data["agent"]["warm_up"], data["task"]["protocol"]["ppo"]["ent_coef"]
    Run.create(job.folder, data)
    assert jobs_of(tmp_path / "mine.yaml", tmp_path, stop={"at": 1.0})[0].begun
    with pytest.raises(UserError, match=r"was trained with task.protocol.ppo.ent_coef 0.0, .*mine.yaml says 0.01"):
        jobs_of(tmp_path / "mine.yaml", tmp_path, protocol={"ppo": {"ent_coef": 0.01}})


def test_a_run_with_a_key_that_is_no_more_is_refused_and_left_alone(tmp_path: Path) -> None:
    (job, *_) = jobs_of(tmp_path / "mine.yaml", tmp_path)
    data = job.config.model_dump(mode="json")
    data["agent"]["ent_coef"] = 0.0
    Run.create(job.folder, data)
    with pytest.raises(UserError, match=r"100 cannot be used; move it away, or .*unknown key 'ent_coef'"):
        jobs_of(tmp_path / "mine.yaml", tmp_path)
    assert Run(job.folder).read_config() == data


def test_what_train_has_made_is_taken_as_it_is(tmp_path: Path) -> None:
    catalogue.dump({"agents": ["ppo-mlp"], "envs": ["pendulum-p"], "seeds": 1}, tmp_path / "mine.yaml")
    experiment = read_experiment(str(tmp_path / "mine.yaml"))
    config = configure("pendulum-p", "ppo-mlp", seed=100, device="auto", video_every=10)
    Run.create(tmp_path / "runs/pendulum-p/ppo-mlp/100", config.model_dump(mode="json"))
    (job,) = make_jobs(experiment, tmp_path)
    assert job.begun
    assert not job.done
    (job.folder / "result.json").touch()
    assert job.done


FROM_PENDULUM = {"name": "mine", "from": "ppo-mlp", "start": "pendulum"}


def test_a_run_starts_from_the_one_of_its_seed(tmp_path: Path) -> None:
    grids = [{"envs": ["pendulum"]}, {"agents": ["ppo-mlp", FROM_PENDULUM]}]
    jobs = {job.name: job for job in jobs_of(tmp_path / "mine.yaml", tmp_path, grids=grids)}
    assert jobs["pendulum-p mine 101"].source == jobs["pendulum ppo-mlp 101"].folder
    assert jobs["pendulum-p ppo-mlp 101"].source is None


@pytest.mark.parametrize(
    "grids",
    [
        [{"agents": ["ppo-mlp", FROM_PENDULUM]}],  # nobody trains it
        [{"envs": ["pendulum"], "seeds": [101]}, {"agents": [FROM_PENDULUM], "seeds": [100]}],  # with that seed
        [{"envs": ["pendulum"], "agents": [FROM_PENDULUM | {"name": "ppo-mlp"}]}],  # but from itself
    ],
)
def test_a_start_has_to_be_one_of_the_runs(tmp_path: Path, grids: list[dict]) -> None:
    with pytest.raises(UserError, match=r"starts from .*/runs/pendulum/ppo-mlp/\d+, which is none of its plain runs"):
        jobs_of(tmp_path / "mine.yaml", tmp_path, grids=grids)


def test_a_run_has_the_probes_of_its_grid(tmp_path: Path) -> None:
    grids = [{"probes": [{"name": "no-memory", "memory": False}]}, {"envs": ["pendulum"]}]
    first, *_, last = jobs_of(tmp_path / "mine.yaml", tmp_path, grids=grids)
    assert ([probe.name for probe in first.probes], last.probes) == (["no-memory"], ())
    Run.create(first.folder, first.config.model_dump(mode="json"))
    (first.folder / "result.json").touch()
    assert first.trained
    assert not first.done
    with pytest.raises(UserError, match=r"grids.1: pendulum-p ppo-jamba 100 is there already, with other probes"):
        jobs_of(tmp_path / "mine.yaml", tmp_path, grids=[grids[0], {"probes": []}])
