"""Auto-tune at the command line: attempts, kills and refusals."""

import json
import signal

import numpy as np
import pytest

from cb.auto_tuning.run import blocks_of
from cb.config import Config
from cb.errors import InputError
from cb.evaluation.opened_run import attempt_folder
from cb.training import assembly
from tests.commands import run
from tests.workers import alone
from tests.workers import pass_steps

# Untrained, blocks 1 to 3 are nearly free of conflicts and 4 to 8 are not.
FLAGS = [
    "--model=fnn(blocks=8, width=5)",
    "--sparsity=0",
    "--reallocation=static",
    "--epochs=2",
    "--save_every=4",
    "--print_every=1",
    "--run_dir=run",
]


def auto_tune(**kwargs):
    values = {"num_samples": 64, "tolerance": 0.3, "checks": 1} | kwargs
    text = ", ".join(f"{key}={value!r}" for key, value in values.items())
    return f"--auto_tune=auto_tune({text})"


def attempts(folder):
    """Read the attempts without what differs when they are repeated."""
    found = json.loads((folder / "run" / "attempts.json").read_text())
    return [
        {key: value for key, value in one.items() if "seconds" not in key}
        for one in found
    ]


def weights(folder, number):
    file = folder / "run" / f"attempt_{number}" / "checkpoints" / "last.npz"
    with np.load(file) as opened:
        return {key: opened[key].tobytes() for key in opened.files}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """Tune once; return the folder and the output."""
    folder = tmp_path_factory.mktemp("tuned")
    flag = auto_tune(when="before", controls=("random",))
    code, output, errors = run("train.py", *FLAGS, flag, folder=folder)
    assert code == 0, errors
    return folder, flag, output


def test_every_attempt_is_kept_and_the_final_one_is_a_run(tuned):
    folder, _, output = tuned
    found = attempts(folder)
    assert [one["kind"] for one in found] == ["tune", "tune", "random"]
    assert [one["outcome"] for one in found] == [
        "conflict",
        "finished",
        "finished",
    ]
    assert found[0]["blocks"] == [8]
    assert found[0]["next_blocks"] == found[1]["blocks"]
    assert found[1]["blocks"] == found[2]["blocks"]
    assert found[1]["blocks"][0] < 8
    final = folder / "run" / "attempt_1"
    summary = json.loads((final / "summary.json").read_text())
    assert summary["test"] == pytest.approx(found[1]["results"], abs=1e-6)
    assert (final / "export" / "saved_model.pb").exists()
    assert not (folder / "run" / "attempt_0" / "summary.json").exists()
    assert "attempt 0 (tune): blocks (8,)  conflict" in output
    assert "attempt_1, " in output
    assert "attempt 1 of attempt 0: parameters 0." in output


def test_the_same_command_does_nothing_and_another_is_refused(tuned):
    folder, flag, _ = tuned
    before = (folder / "run" / "attempts.json").read_bytes()
    code, output, _ = run("train.py", *FLAGS, flag, folder=folder)
    assert code == 0
    assert "Finished already" in output
    assert "attempt 1 (tune)" in output
    assert (folder / "run" / "attempts.json").read_bytes() == before
    flags = [*FLAGS, flag, "--epochs=3"]
    code, _, errors = run("train.py", *flags, folder=folder)
    assert code == 2
    assert "cannot be made longer" in errors
    assert len(errors.strip().splitlines()) == 1


def test_evaluate_takes_the_final_attempt_or_the_one_asked_for(tuned):
    folder, _, _ = tuned
    run_dir = str(folder / "run")
    assert attempt_folder(run_dir, None) == f"{run_dir}/attempt_1"
    assert attempt_folder(run_dir, 0) == f"{run_dir}/attempt_0"
    with pytest.raises(InputError, match="attempt_1'"):
        attempt_folder(f"{run_dir}/attempt_1", 0)
    code, output, errors = run(
        "evaluate.py",
        "--run_dir=run",
        "--conflicting_samples_size=64",
        folder=folder,
    )
    assert code == 0, errors
    number = attempts(folder)[1]["blocks"][0]
    assert f"block_{number}: " in output


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_auto_tune_ends_as_one_that_was_not(tmp_path, when):
    sparse = ["--sparsity=0.2", "--reallocation=set(every=10)"]
    flags = [*FLAGS, *sparse, auto_tune(when=when, tolerance=2.5, checks=2)]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    code, _, errors = run("train.py", *flags, folder=whole)
    assert code == 0, errors
    with alone(flags, killed) as process:
        # Within the second epoch, behind the check.
        pass_steps(process, 36)
        process.kill()
        assert process.finish()[0] == -signal.SIGKILL
    code, output, errors = run("train.py", *flags, folder=killed)
    assert code == 0, errors
    assert "Resuming after" in output
    assert attempts(killed) == attempts(whole)
    assert weights(killed, 0) == weights(whole, 0)
    metrics = "run/attempt_0/metrics.csv"
    assert (whole / metrics).read_bytes() == (killed / metrics).read_bytes()


def test_too_many_restarts_end_with_one_line_again_and_again(tmp_path):
    flags = [*FLAGS, auto_tune(when="before", restarts=0)]
    for _ in range(2):
        code, _, errors = run("train.py", *flags, folder=tmp_path)
        assert code == 1
        assert "only 0 restart(s) are allowed" in errors
        assert len(errors.strip().splitlines()) == 1
    assert len(attempts(tmp_path)) == 1


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--model=mlp"], "needs a model with `blocks`"),
        (["--initial_epoch=1"], "from the beginning"),
        (["--initialize_from=other"], "A run must be named by its folder"),
        (
            [auto_tune(rule="some")],
            "`rule` of auto-tune `auto_tune` must be one of",
        ),
        ([auto_tune(controls=("any",))], "each one of 'full', 'random'"),
        ([auto_tune(num_samples=5000)], "at most 1294"),
        (["--auto_tune=auto"], "auto_tune"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, flags, message):
    flags = [*FLAGS, auto_tune(), *flags]
    code, _, errors = run("train.py", *flags, folder=tmp_path)
    assert code == 2
    assert message in errors
    assert len(errors.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "model, blocks",
    [
        ("fnn(blocks=7)", (7,)),
        ("bundle_vgg(depth=20)", (2, 2, 3, 2)),
        ("bundle_resnet(blocks=(3, 12, 41, 3))", (3, 12, 41, 3)),
    ],
)
def test_blocks_to_start_from_are_those_of_the_model(model, blocks):
    config = Config(model=model, auto_tune="auto_tune")
    assert blocks_of(assembly.completed(config)) == blocks


def test_a_users_model_is_tuned_if_it_takes_blocks(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import cb\n"
        "@cb.models.REGISTRY.register('mine_with_blocks')\n"
        "def mine(input_shape, num_classes, blocks=(6, 2)):\n"
        "    'Build nothing.'\n"
    )
    config = Config(model=str(file), auto_tune="auto_tune")
    assert blocks_of(assembly.completed(config)) == (6, 2)


def test_a_lesioned_model_is_refused():
    config = Config(model="bundle_resnet(depth=4, lesion=(1,))")
    with pytest.raises(InputError, match="none of them left out"):
        blocks_of(assembly.completed(config))


def test_it_does_not_start_from_another_run(tuned, tmp_path):
    (source,) = tuned[0].rglob("attempt_1/config.json")
    flags = [*FLAGS, auto_tune(), f"--initialize_from={source.parent}"]
    code, _, errors = run("train.py", *flags, folder=tmp_path)
    assert code == 2 and "from the beginning" in errors
