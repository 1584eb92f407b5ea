"""`evaluate.py --export` writes a SavedModel and says what it gains."""

import re

import pytest

from cb.engine.int8_features import lanes
from cb.errors import InputError
from cb.evaluation.export import export_run
from cb.evaluation.opened_run import OpenedRun
from tests import commands


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    flags = ("--epochs=1", "--sparsity=0.9", "--run_dir=run")
    code, _, errors = commands.run("train.py", *flags, folder=folder)
    assert code == 0, errors
    return folder / "run"


def test_a_checkpoint_is_exported(run_dir):
    code, output, errors = commands.run(
        "evaluate.py",
        f"--run_dir={run_dir}",
        "--export=sparse",
        "--export_batch_sizes=1,8",
        folder=run_dir.parent,
    )
    assert (code, errors) == (0, "")
    assert re.search(r"form +bytes +ms for 1 +ms for 8", output)
    assert re.search(r"^sparse, in cb +[\d,]+ +[\d.]+ +[\d.]+", output, re.M)
    assert "Dead channels: " in output
    assert (run_dir / "export" / "saved_model.pb").exists()
    assert re.search(r"^ai-edge-litert [\d.]+: lite$", output, re.M)


def test_every_form_is_scored_on_the_test_examples(run_dir):
    code, output, errors = commands.run(
        "evaluate.py",
        f"--run_dir={run_dir}",
        "--export=lite_int8",
        "--export_batch_sizes=1",
        folder=run_dir.parent,
    )
    assert (code, errors) == (0, "")
    code, scores, errors = commands.run(
        "evaluate.py", f"--run_dir={run_dir}", folder=run_dir.parent
    )
    accuracy = float(re.search(r"accuracy ([\d.]+)", scores)[1])
    for form, loss in {"dense": 0, "lite": 0, "lite_int8": 0.02}.items():
        (row,) = re.findall(rf"^{form} .*", output, re.M)
        assert abs(float(row.split()[4]) - accuracy) <= loss + 1e-4, row
    assert [file.name for file in (run_dir / "export").iterdir()] == [
        "model.tflite"
    ]
    code, again, errors = commands.run(
        "evaluate.py",
        f"--saved_model={run_dir / 'export'}",
        "--dataset=digits",
        folder=run_dir.parent,
    )
    assert (code, errors) == (0, "")
    assert f"accuracy {row.split()[4]}" in again


@pytest.mark.parametrize("form, loss", [("engine", 0), ("engine_int8", 0.02)])
def test_the_engine_is_scored_too(form, loss, run_dir):
    code, output, errors = commands.run(
        "evaluate.py",
        f"--run_dir={run_dir}",
        f"--export={form}",
        "--export_batch_sizes=1",
        folder=run_dir.parent,
    )
    as_floats = "A quantized network runs as floats" in errors
    assert as_floats == (form == "engine_int8" and not lanes())
    assert code == 0 and (as_floats or not errors)
    scores = dict(re.findall(r"^(\w+) +[\d,]+ .* (0\.\d{4})$", output, re.M))
    assert abs(float(scores[form]) - float(scores["dense"])) <= loss + 1e-4
    # In bytes, channels stay in their blocks of four.
    assert ("Dead channels: " in output) == (form == "engine")
    arithmetic = r"^cb \((int8|float32)\): "
    assert bool(re.search(arithmetic, output, re.M)) == (form != "engine")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (
            ["--export=dense", "--export_batch_sizes=0"],
            "--export_batch_sizes=0: must be positive integers",
        ),
        (
            ["--export=dense", "--export_batch_sizes=7,\N{SUPERSCRIPT TWO}"],
            "--export_batch_sizes=7,\N{SUPERSCRIPT TWO}: must be positive",
        ),
        (["--export_batch_sizes=1"], "`export_batch_sizes` needs `--export`"),
    ],
)
def test_batch_sizes_are_checked_before_anything_else(
    flags, expected, tmp_path
):
    code, _, errors = commands.run(
        "evaluate.py", "--run_dir=nowhere", *flags, folder=tmp_path
    )
    assert code == 2
    assert expected in errors
    assert len(errors.splitlines()) == 1


def test_an_unknown_form_and_several_checkpoints_are_refused(run_dir):
    with pytest.raises(InputError, match="Unknown form"):
        export_run(OpenedRun(str(run_dir)), "zip")
    with pytest.raises(InputError, match="single checkpoint.*'all'"):
        export_run(OpenedRun(str(run_dir), "all"))
