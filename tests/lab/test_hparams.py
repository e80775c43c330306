"""What TensorBoard's HParams tab shows, as TensorBoard itself reads it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing import data_provider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups, metadata

from jamba_rl.lab.config import configure
from jamba_rl.lab.hparams import SCORE, flat, hyperparameters
from jamba_rl.lab.run import Run
from jamba_rl.lab.stats import final_score
from jamba_rl.lab.train import resume, train
from tests.conftest import tiny_config
from tests.lab.small import small_config


def read(run: Run) -> EventAccumulator:
    events = EventAccumulator(str(run.tensorboard))
    events.Reload()
    return events


def plugin_data(run: Run) -> dict[str, bytes]:
    return read(run).PluginTagToContent(metadata.PLUGIN_NAME)


def groups(folder: Path) -> tuple[api_pb2.Experiment, list[api_pb2.SessionGroup]]:
    """What the HParams tab is given for a folder of runs: its columns and its rows."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(folder))
    context = backend_context.Context(TBContext(data_provider=provider, logdir=str(folder)))
    asked = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=100,
        allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_UNKNOWN],
        aggregation_type=api_pb2.AGGREGATION_AVG,
    )
    answer = list_session_groups.Handler(RequestContext(), context, "", asked).run()
    columns = context.experiment_from_metadata(
        RequestContext(), "", True, context.hparams_metadata(RequestContext(), ""), []
    )
    return columns, list(answer.session_groups)


def test_a_run_says_what_it_was_trained_with_and_how_good_it_became(trained: Run) -> None:
    said = plugin_data(trained)
    start = metadata.parse_session_start_info_plugin_data(said[metadata.SESSION_START_INFO_TAG])
    assert start.hparams["env"].string_value == "pendulum-p"
    assert start.hparams["network.pattern"].string_value == "AM"
    assert start.hparams["network.d_model"].number_value == 8
    assert start.hparams["shared_encoder"].bool_value is True
    assert start.hparams["policy.net_arch"].string_value == "[8]"
    assert start.hparams["protocol.n_steps"].number_value == 32
    assert "seed" not in start.hparams
    end = metadata.parse_session_end_info_plugin_data(said[metadata.SESSION_END_INFO_TAG])
    assert end.status == api_pb2.STATUS_SUCCESS
    (score,) = read(trained).Scalars(SCORE)
    rows = [float(row["mean_reward"]) for row in trained.evaluations.rows()]
    assert score.value == pytest.approx(final_score(np.array(rows)), rel=1e-6)
    assert score.step == 256


def test_every_value_has_a_place(trained: Run) -> None:
    config = tiny_config()
    expected = {**flat(config.agent.model_dump(mode="json")), **flat(config.part.model_dump(mode="json"), "protocol.")}
    found = hyperparameters(config)
    assert expected.keys() - found.keys() == {"name", "description"}
    said = metadata.parse_session_start_info_plugin_data(plugin_data(trained)[metadata.SESSION_START_INFO_TAG])
    assert set(said.hparams) == set(found)


def test_seeds_are_one_group_and_agents_are_several(tmp_path: Path, trained: Run) -> None:
    folder = tmp_path / "runs" / "pendulum-p"
    shutil.copytree(trained.folder, folder / "ppo-jamba" / "0")
    train(tiny_config(seed=1), folder / "ppo-jamba" / "1", live=None)
    train(small_config("sac-jamba", steps=64), folder / "sac-jamba" / "0", live=None)
    columns, found = groups(tmp_path / "runs")
    sessions = [[session.name for session in group.sessions] for group in found]
    assert sorted(sessions) == [
        ["pendulum-p/ppo-jamba/0/tb", "pendulum-p/ppo-jamba/1/tb"],
        ["pendulum-p/sac-jamba/0/tb"],
    ]
    names = {info.name: info for info in columns.hparam_infos}
    assert {"clip_range", "tau", "network.window"} <= names.keys()  # of both algorithms
    assert names["algorithm"].differs
    assert not names["env"].differs
    assert SCORE in {info.name.tag for info in columns.metric_infos}
    seeds = next(group for group in found if len(group.sessions) == 2)
    each = [next(m.value for m in session.metric_values if m.name.tag == SCORE) for session in seeds.sessions]
    mean = next(metric.value for metric in seeds.metric_values if metric.name.tag == SCORE)
    assert mean == pytest.approx(sum(each) / 2)


def test_values_that_differ_make_another_group() -> None:
    from jamba_rl.lab.hparams import start_summary

    def group(**kwargs: object) -> str:
        summary = start_summary(configure("pendulum-p", **kwargs))  # type: ignore[arg-type]
        content = summary.value[0].metadata.plugin_data.content
        return metadata.parse_session_start_info_plugin_data(content).group_name

    assert group(seed=0) == group(seed=1)
    assert group(seed=0) != group(settings=["learning_rate=1e-4"])
    assert group().startswith("pendulum-p ppo-jamba ")


def test_a_resumed_run_has_its_newer_score(trained: Run) -> None:
    resume(trained.folder, steps=320, live=None)
    assert [score.step for score in read(trained).Scalars(SCORE)][-1] == 320
    assert metadata.SESSION_END_INFO_TAG in plugin_data(trained)
