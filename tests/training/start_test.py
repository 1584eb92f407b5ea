"""Runs whose first masks come from the weights of another run."""

import numpy as np
import pytest

from cb.runs.checkpoint import CheckpointFolder
from cb.runs.directory import RunDirectory
from tests.commands import run

pytestmark = pytest.mark.slow

MODEL = ["--dataset=digits", "--model=mlp(units=(32, 16))", "--epochs=1"]
STATIC = ["--reallocation=static", "--learning_rate=0.01"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a dense run, one pruned from it, and one from that."""
    folder = tmp_path_factory.mktemp("runs")
    for name, flags in {
        "dense": ["--sparsity=0.0"],
        "pruned": ["--sparsity=0.8", "--masks=magnitude"],
        "again": ["--masks=nonzero"],
        "ticket": ["--sparsity=0.9", "--masks=lottery_ticket"],
    }.items():
        source = {
            "pruned": "dense",
            "again": "pruned",
            "ticket": "pruned",
        }.get(name)
        if source:
            flags.append(f"--initialize_from={source}")
        flags.append(f"--run_dir={name}")
        code, _, errors = run(
            "train.py", *MODEL, *STATIC, *flags, folder=folder
        )
        assert code == 0, errors
    return folder


def arrays(folder, name, checkpoint):
    folder = RunDirectory(str(folder / name)).checkpoints
    return CheckpointFolder(folder).load(checkpoint).arrays


def kernels(folder, name, checkpoint):
    """Return pairs of kernel and mask by layer."""
    found = arrays(folder, name, checkpoint)
    return {
        key.removesuffix("/mask"): (
            found[key.replace("/mask", "/kernel")],
            found[key] != 0,
        )
        for key in found
        if key.startswith("model/") and key.endswith("/mask")
    }


def test_magnitude_prunes_the_weights_of_the_run(folder):
    trained = kernels(folder, "dense", "last")
    active = total = 0
    for key, (_, mask) in kernels(folder, "pruned", "initial").items():
        magnitudes = np.abs(trained[key][0])
        assert magnitudes[mask].min() >= magnitudes[~mask].max()
        active, total = active + mask.sum(), total + mask.size
    assert active == round(0.2 * total)


def test_nonzero_takes_the_masks_of_the_run(folder):
    trained = kernels(folder, "pruned", "last")
    for key, (kernel, mask) in kernels(folder, "again", "initial").items():
        np.testing.assert_array_equal(mask, trained[key][1])
        np.testing.assert_array_equal(
            kernel * mask, trained[key][0] * trained[key][1]
        )


def test_a_lottery_ticket_has_first_weights_and_masks_by_the_last(folder):
    trained = kernels(folder, "pruned", "last")
    first = arrays(folder, "pruned", "initial")
    found = arrays(folder, "ticket", "initial")
    active = total = 0
    for key, (kernel, mask) in kernels(folder, "ticket", "initial").items():
        magnitudes = np.abs(trained[key][0] * trained[key][1])
        assert magnitudes[mask].min() >= magnitudes[~mask].max()
        weights = first[f"{key}/kernel"]
        np.testing.assert_array_equal(kernel * mask, weights * mask)
        np.testing.assert_array_equal(
            found[f"{key}/bias"], first[f"{key}/bias"]
        )
        active, total = active + mask.sum(), total + mask.size
    assert active == round(0.1 * total)
    changed = arrays(folder, "ticket", "last")
    assert any((changed[key] != found[key]).any() for key in found)


def test_masks_of_another_density_than_asked_for_are_said(folder):
    flags = ["--sparsity=0.9", "--initialize_from=dense", "--run_dir=copied"]
    code, output, errors = run("train.py", *MODEL, *flags, folder=folder)
    assert code == 0, errors
    assert "density 1.0000, not the 0.1000" in output


def test_such_a_run_is_scored_and_repeated(folder):
    code, scores, errors = run("evaluate.py", "--run_dir=again", folder=folder)
    assert code == 0 and "again last: test" in scores, errors
    flags = ["--config=again/config.json", "--run_dir=repeated"]
    assert run("train.py", *flags, folder=folder)[0] == 0
    once, twice = (arrays(folder, n, "last") for n in ("again", "repeated"))
    for key, value in once.items():
        np.testing.assert_array_equal(twice[key], value)


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--masks=nonzero"], "no zeros in any of"),
        (
            ["--masks=nonzero", "--sparsity=0.5"],
            "`sparsity` must be left out with masks='nonzero'",
        ),
        (
            ["--masks=magnitude", "--weight_sharing=tied"],
            "`masks` must be 'random' with weight_sharing",
        ),
        (["--masks=largest"], "`masks` must be one of"),
        (
            ["--masks=lottery_ticket"],
            "`initialize_from` must be a run that was trained",
        ),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, flags, message):
    code, _, errors = run("train.py", *MODEL, *STATIC, *flags, folder=tmp_path)
    assert code == 2 and message in errors
    assert "Traceback" not in errors
