"""The one log of a run: what is logged reaches every sink."""

import csv
import time

import numpy as np
import pytest
from tensorboard.backend.event_processing import data_provider
from tensorboard.backend.event_processing import plugin_event_multiplexer
from tensorboard.backend.event_processing.plugin_event_accumulator import (
    EventAccumulator,
)
from tensorboard.context import RequestContext
from tensorboard.data.provider import ListHyperparametersResult
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import backend_context
from tensorboard.plugins.hparams import list_session_groups
from tensorboard.util import tensor_util

from cb import run_log
from cb.errors import InputError
from cb.run_log import RunLog
from cb.run_log import Sink
from cb.run_log import open_log
from cb.runs.directory import RunDirectory

pytestmark = pytest.mark.slow


class Recorded(Sink):
    """Remembers the scalars, under the name that a user chooses it by."""

    found: list = []

    def scalars(self, step, values, part="train"):
        self.found.append((step, dict(values), part))

    def position(self):
        return {"recorded": len(self.found)}

    def resume(self, position):
        del self.found[position["recorded"] :]


@pytest.fixture
def run(tmp_path):
    return RunDirectory(str(tmp_path))


def rows(run):
    with open(run.metrics_file, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def events(folder):
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def scalars(folder, name):
    return [
        (event.step, float(tensor_util.make_ndarray(event.tensor_proto)))
        for event in events(folder).Tensors(name)
    ]


def test_a_number_is_a_row_and_a_point_of_a_curve(run):
    log = open_log(run, updates_per_epoch=10)
    log.scalars(10, {"loss": 0.1, "macs": 7})
    log.scalars(11, {"loss": 0.25}, "validation")
    assert rows(run) == [
        ["step", "epoch", "name", "value"],
        ["10", "1", "loss", repr(0.1)],
        ["10", "1", "macs", "7.0"],
        ["11", "2", "validation/loss", "0.25"],
    ]
    train = run.tensorboard / "train"
    validation = run.tensorboard / "validation"
    assert scalars(train, "loss") == [(10, pytest.approx(0.1))]
    assert scalars(train, "macs") == [(10, 7.0)]
    assert scalars(validation, "loss") == [(11, 0.25)]


def test_histograms_and_images_are_on_disk_at_once(run):
    log = open_log(run, 10)
    values = np.linspace(-1, 1, 50, dtype=np.float32)
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    log.histograms(3, {"weights/a": values})
    log.images(3, {"changes/a": image})
    found = events(run.tensorboard / "train")
    (histogram,) = found.Tensors("weights/a")
    buckets = tensor_util.make_ndarray(histogram.tensor_proto)
    assert buckets[:, 2].sum() == 50
    assert (buckets[0, 0], buckets[-1, 1]) == (-1, 1)
    (picture,) = found.Tensors("changes/a")
    width, height, _ = tensor_util.make_ndarray(picture.tensor_proto)
    assert (width, height) == (b"2", b"2")
    assert not run.metrics_file.exists()


def test_hyperparameters_are_numbers_or_text(run):
    log = open_log(run, 10)
    values = {"seed": 3, "model": None}
    log.hyperparameters(values, metrics=[("train", "accuracy")])
    plugin = events(run.tensorboard).PluginTagToContent("hparams")
    start = plugin["_hparams_/session_start_info"]
    assert b"seed" in start and b"None" in start
    assert b"accuracy" in plugin["_hparams_/experiment"]


def hparams_tab(folder):
    """Return the columns and the rows of TensorBoard's HParams tab."""
    events = plugin_event_multiplexer.EventMultiplexer()
    events.AddRunsFromDirectory(str(folder)).Reload()
    provider = data_provider.MultiplexerDataProvider(events, str(folder))
    tab = backend_context.Context(TBContext(data_provider=provider))
    request = api_pb2.ListSessionGroupsRequest(
        slice_size=10, allowed_statuses=api_pb2.Status.values()
    )
    context, experiment = RequestContext(), ""
    found = list_session_groups.Handler(context, tab, experiment, request).run()
    metadata = tab.hparams_metadata(context, experiment)
    columns = tab.experiment_from_metadata(
        context,
        experiment,
        True,
        metadata,
        ListHyperparametersResult(hyperparameters=[], session_groups=[]),
    ).hparam_infos
    rows = [
        {
            **{name: v.number_value for name, v in group.hparams.items()},
            **{
                (m.name.group, m.name.tag): m.value for m in group.metric_values
            },
        }
        for group in found.session_groups
    ]
    return [one.name for one in columns], rows


def test_each_run_is_a_row_of_hparams_with_its_test_accuracy(tmp_path):
    metrics = [("test", "accuracy"), ("train", "density")]
    for number in range(2):
        # Folders of the same name, as `one/run` and `two/run`.
        run = RunDirectory(str(tmp_path / str(number) / "run"))
        log = open_log(run, 10)
        run.path.mkdir(parents=True)
        log.hyperparameters(
            {"seed": number, "sparsity": 0.5},
            metrics=metrics,
            first=("sparsity",),
        )
        log.scalars(10, {"density": 0.5 - number / 4})
        log.results(10, {"accuracy": 0.25 + number / 2})
        log.close()
        assert [row[2:] for row in rows(run)[1:]] == [
            ["density", repr(0.5 - number / 4)]
        ]
    columns, found = hparams_tab(tmp_path)
    assert columns == ["sparsity", "seed"]
    assert sorted(found, key=lambda row: row["seed"]) == [
        {
            "sparsity": 0.5,
            "seed": number,
            ("test", "accuracy"): 0.25 + number / 2,
            ("train", "density"): 0.5 - number / 4,
        }
        for number in range(2)
    ]


def test_a_resumed_run_forgets_what_came_after_the_checkpoint(run):
    log = open_log(run, 10)
    log.scalars(10, {"loss": 3.0})
    position = {"step": 10, **log.position()}
    assert position["metrics_size"] == run.metrics_file.stat().st_size
    log.scalars(20, {"loss": 2.0})
    # A kill comes here, and another process resumes. TensorBoard orders
    # files by the second that they were opened in.
    log = open_log(run, 10)
    time.sleep(1.1)
    log.resume(position)
    time.sleep(1.1)
    log.scalars(20, {"loss": 1.0})
    assert [row[3] for row in rows(run)[1:]] == ["3.0", "1.0"]
    assert scalars(run.tensorboard / "train", "loss") == [(10, 3), (20, 1)]


def test_logging_may_continue_after_closing(run):
    log = open_log(run, 10)
    log.scalars(1, {"loss": 2.0})
    log.close()
    log.scalars(2, {"loss": 1.0})
    assert scalars(run.tensorboard / "train", "loss") == [(1, 2), (2, 1)]
    assert len(rows(run)) == 3


def test_workers_that_do_not_write_log_nothing(tmp_path):
    log = open_log(RunDirectory(str(tmp_path), writes=False), 10)
    log.scalars(1, {"loss": 2.0})
    log.images(1, {"image": np.zeros((2, 2, 3), np.uint8)})
    log.hyperparameters({"seed": 1})
    log.resume({"step": 1})
    assert log.position() == {}
    assert [*tmp_path.iterdir()] == []


def test_nothing_is_written_before_the_first_value(run):
    open_log(run, 10).close()
    assert [*run.path.iterdir()] == []


def test_further_sinks_are_chosen_by_name(run):
    run_log.REGISTRY.register("recorded")(Recorded)
    log = open_log(run, 10, sinks="recorded")
    log.scalars(10, {"loss": 0.5}, "validation")
    log.histograms(10, {"weights": np.ones(3)})
    assert Recorded.found == [(10, {"loss": 0.5}, "validation")]
    assert [row[2] for row in rows(run)[1:]] == ["validation/loss"]
    assert not run.tensorboard.exists()
    position = {"step": 10, **log.position()}
    log.scalars(20, {"loss": 0.4}, "validation")
    log.resume(position)
    assert len(Recorded.found) == 1 and len(rows(run)) == 2


def test_an_unknown_sink_is_refused(run):
    with pytest.raises(
        InputError, match="Unknown sink.*'tensorboard'.*'tensorbord'"
    ):
        open_log(run, 10, sinks="tensorbord")


def test_a_log_of_no_sinks_takes_everything():
    log = RunLog([])
    log.scalars(1, {"loss": 1.0})
    log.histograms(1, {"weights": [1.0]})
    log.close()
    assert log.position() == {}
