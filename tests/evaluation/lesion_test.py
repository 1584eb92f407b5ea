"""A run scored without some of its blocks."""

import json

import numpy as np
import pytest

from cb import datasets
from cb.errors import InputError
from cb.evaluation.lesion import block_entropies
from cb.evaluation.lesion import evaluate_lesion
from cb.evaluation.opened_run import OpenedRun
from cb.training.provenance import described
from tests.commands import run
from tests.made_runs import BROKEN
from tests.made_runs import make_run

# As wide as the digits have pixels: the first block can be dropped too.
FNN = "fnn(blocks=4, width=64)"


def accuracy_without(path, dropped):
    """Score in NumPy what is left of the network."""
    opened = OpenedRun(path, strategy="none")
    opened.load("last")
    test = datasets.load("digits", None).test
    x = np.asarray(test.features, np.float64).reshape(len(test), -1)
    for number, layer in enumerate(opened.model.layers[2:-1], start=1):
        if number not in dropped:
            x = x @ layer.kernel.numpy() + layer.bias.numpy()
            if layer.name != "logits":
                x = np.maximum(x, 0)
    return np.mean(x.argmax(axis=1) == test.labels)


def test_scores_are_those_of_the_network_without_the_blocks(tmp_path):
    path = str(make_run(tmp_path / "run", 1, FNN).path)
    study = "lesion(blocks=(1, 2), draws=3, among='any')"
    results = evaluate_lesion(OpenedRun(path), study)
    assert [draw.dropped for draw, _ in results][0] == ()
    assert [draw.blocks for draw, _ in results] == [0, 1, 1, 1, 2, 2, 2]
    for draw, accuracy in results:
        assert accuracy == pytest.approx(accuracy_without(path, draw.dropped))


def test_what_is_known_is_not_computed_again(tmp_path, monkeypatch):
    directory = make_run(tmp_path / "run", 1, FNN)
    path, study = str(directory.path), "lesion(blocks=1, among='any')"
    results = evaluate_lesion(OpenedRun(path), study)
    before = directory.lesion_file.read_bytes()
    monkeypatch.setattr("cb.evaluation.lesion.drop_blocks", None)
    assert evaluate_lesion(OpenedRun(path), study) == results
    assert directory.lesion_file.read_bytes() == before


def test_scores_on_other_data_are_computed_again(tmp_path):
    directory = make_run(tmp_path / "run", 1, FNN)
    path, study = str(directory.path), "lesion(blocks=1, among='any')"
    results = evaluate_lesion(OpenedRun(path), study)
    # As if the examples had been others then.
    content = json.loads(directory.config_file.read_text())
    data = OpenedRun(path).data
    content["data"] = described(data.source, data.examples, data.held_out)
    content["data"]["parts"]["training"]["examples"] += 1
    content |= {"versions": {}, "replicas": 1}
    directory.config_file.write_text(json.dumps(content))
    rows = directory.lesion_file.read_text().splitlines()
    wrong = [row.rpartition(",")[0] + ",0.0" for row in rows[1:]]
    directory.lesion_file.write_text("\n".join([rows[0], *wrong]) + "\n")
    opened = OpenedRun(path, accept_changed_data=True)
    assert evaluate_lesion(opened, study) == results


def test_plain_blocks_are_judged_by_their_outputs(tmp_path):
    path = str(make_run(tmp_path / "run", BROKEN, FNN).path)
    opened = OpenedRun(path, strategy="none")
    opened.load("last")
    entropies = block_entropies(opened, 200)
    # Behind a block of zeros, all examples are one bundle.
    assert [k for k in entropies if entropies[k] > 2.0] == [2, 3, 4]


def test_residual_blocks_are_judged_by_what_they_add(tmp_path):
    model = "bundle_resnet(blocks=(3, 0, 0, 0))"
    path = str(make_run(tmp_path / "run", BROKEN, model).path)
    opened = OpenedRun(path, strategy="none")
    opened.load("last")
    entropies = block_entropies(opened, 64)
    assert [k for k in entropies if entropies[k] > 2.0] == [2]


def test_the_command_prints_a_table(tmp_path):
    directory = make_run(tmp_path / "run", BROKEN, FNN)
    lesion = "--lesion=lesion(blocks=2, draws=2, among='conflicting')"
    flags = ["--run_dir=run", lesion, "--conflicting_samples_size=200"]
    code, output, errors = run("evaluate.py", *flags, folder=tmp_path)
    assert code == 0, errors
    assert errors == ""
    assert "[2, 3, 4]" in output
    assert "| conflicting | 2 | 2 |" in output
    header, whole, *rows = directory.lesion_file.read_text().splitlines()
    assert header == "step,among,blocks,draw,dropped,name,value"
    assert whole.startswith(f"{28 * BROKEN},none,0,0,,accuracy,")
    assert len(rows) == 2
    picture = directory.lesion_file.with_suffix(".png")
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "model, arguments, message",
    [
        ("mlp", {}, "model with blocks that can be left out"),
        (FNN, {"checkpoint": "all"}, "single checkpoint"),
        (FNN, {"num_samples": 5000}, "at most 1437"),
        (FNN, {"study": "lesion(amongst='any')"}, "amongst"),
        (FNN, {"study": "other"}, "Unknown lesion study"),
    ],
)
def test_bad_input_writes_nothing(tmp_path, model, arguments, message):
    directory = make_run(tmp_path / "run", 1, model)
    before = sorted(directory.path.rglob("*"))
    with pytest.raises(InputError, match=message):
        checkpoint = arguments.pop("checkpoint", "last")
        run = OpenedRun(str(directory.path), checkpoint)
        evaluate_lesion(run, **arguments)
    assert sorted(directory.path.rglob("*")) == before


def test_flags_that_do_not_go_together_are_refused(tmp_path):
    flags = ["--run_dir=run", "--lesion=lesion", "--all_conflict_layers"]
    code, _, errors = run("evaluate.py", *flags, folder=tmp_path)
    assert code == 2
    assert errors == (
        "Expected `--lesion` or `--all_conflict_layers`, not both. "
        "Received: lesion='lesion', all_conflict_layers=True\n"
    )
