"""A change anywhere in what a command leaves is found and named."""

import csv
import json

import numpy as np
import pytest

from cb.registry import registered_names
from tools import same
from tools.same_commands import BY_NAME
from tools.same_commands import COMMANDS
from tools.same_commands import Command
from tools.same_commands import Step
from tools.same_comparison import Found
from tools.same_comparison import compare
from tools.same_recording import Ended
from tools.same_recording import Recorder
from tools.same_recording import Recording
from tools.same_recording import read
from tools.same_verdicts import judge

pytestmark = pytest.mark.slow

NOTHING = Found([], [])


def fill(folder):
    """Write a run folder in small, as it lies on disk."""
    run = folder / "run"
    for name in ("checkpoints", "export/variables", "tensorboard/train"):
        (run / name).mkdir(parents=True)
    config = {"config": {"seed": 0, "units": [3, 4], "rate": 0.1}}
    (run / "config.json").write_text(json.dumps(config))
    summary = {"test": {"loss": 0.5}, "seconds": 1.0}
    (run / "summary.json").write_text(json.dumps(summary))
    with open(run / "metrics.csv", "w", newline="") as file:
        csv.writer(file).writerows(
            [("step", "name", "value"), (1, "loss", 0.5), (2, "loss", 0.25)]
        )
    write_checkpoint(run, arrays())
    (run / "export/saved_model.pb").write_bytes(b"a")
    (run / "export/variables/variables.index").write_bytes(b"a")
    (run / "tensorboard/train/events.1").write_bytes(b"a")
    np.savez(run / "export.outputs.npz", logits=np.arange(6.0))
    return run


def arrays():
    meta = json.dumps({"step": 2, "best": 0.5}).encode()
    return {
        "meta": np.frombuffer(meta, np.uint8),
        "model/0/kernel": np.zeros((2, 3), np.float32),
        "model/0/mask": np.ones((2, 3), np.float32),
    }


def write_checkpoint(run, held):
    np.savez(run / "checkpoints/last.npz", **held)


@pytest.fixture
def pair(tmp_path):
    """Two equal folders, and the run in the second to change."""
    base, head = tmp_path / "base", tmp_path / "head"
    fill(base)
    return base, head, fill(head)


def only_difference(base, head):
    found = compare(base, head)
    assert found.notes == []
    (difference,) = found.differences
    return difference


def test_equal_folders_do_not_differ(pair):
    assert compare(*pair[:2]) == NOTHING


def test_a_changed_bit_of_an_array_is_named(pair):
    base, head, run = pair
    held = arrays()
    # Equal as a number, not as bits.
    held["model/0/kernel"][1, 2] = -0.0
    write_checkpoint(run, held)
    assert only_difference(base, head) == (
        "run/checkpoints/last.npz: model/0/kernel: 1 of 6 values, first at "
        "[1, 2]: 0.0 / -0.0"
    )


@pytest.mark.parametrize(
    "change, expected",
    [
        (lambda held: held.pop("model/0/mask"), "model/0/mask: only in BASE"),
        (
            lambda held: held.update(slot=np.zeros(1)),
            "slot: only in HEAD",
        ),
        (
            lambda held: held.update({"model/0/mask": np.ones((2, 3))}),
            "model/0/mask: float32[2, 3] and float64[2, 3]",
        ),
        (
            lambda held: held.update(
                meta=np.frombuffer(b'{"step": 3, "best": 0.5}', np.uint8)
            ),
            "meta step: 2 / 3",
        ),
    ],
    ids=["gone", "new", "type", "meta"],
)
def test_what_a_checkpoint_holds_is_named(pair, change, expected):
    base, head, run = pair
    held = arrays()
    change(held)
    write_checkpoint(run, held)
    assert (
        only_difference(base, head) == f"run/checkpoints/last.npz: {expected}"
    )


def test_a_changed_value_in_a_table_is_named(pair):
    base, head, run = pair
    file = run / "metrics.csv"
    file.write_bytes(file.read_bytes().replace(b"0.25", b"0.26"))
    assert only_difference(base, head) == (
        "run/metrics.csv: line 3: 2,loss,0.25\r / 2,loss,0.26\r"
    )


def test_a_missing_file_is_named_and_a_new_one_noted(pair):
    base, head, run = pair
    (run / "metrics.csv").rename(run / "new.csv")
    assert compare(base, head) == Found(
        ["run/metrics.csv: only in BASE"], ["run/new.csv: only in HEAD"]
    )


def test_a_changed_value_of_a_configuration_is_named(pair):
    base, head, run = pair
    config = {"config": {"seed": 0, "units": [3, 5], "rate": 0.1}}
    (run / "config.json").write_text(json.dumps(config))
    assert only_difference(base, head) == (
        "run/config.json: config.units.1: 4 / 5"
    )


def test_a_new_key_of_a_configuration_is_noted_only(pair):
    base, head, run = pair
    config = {"config": {"seed": 0, "units": [3, 4], "rate": 0.1, "new": 1}}
    (run / "config.json").write_text(json.dumps(config))
    assert compare(base, head) == Found(
        [], ["run/config.json: only in HEAD: ['config.new']"]
    )


def test_a_longer_list_is_no_new_key(pair):
    base, head, run = pair
    config = {"config": {"seed": 0, "units": [3, 4, 5], "rate": 0.1}}
    (run / "config.json").write_text(json.dumps(config))
    (difference,) = compare(base, head).differences
    assert difference.endswith("config.units: list of 2 / list of 3")


def test_changed_outputs_of_an_export_are_named(pair):
    base, head, run = pair
    np.savez(run / "export.outputs.npz", logits=np.arange(6.0) * 2)
    assert only_difference(base, head) == (
        "run/export.outputs.npz: logits: 5 of 6 values, first at [1]: 1.0 / 2.0"
    )


def test_times_and_what_holds_them_are_left_out(pair):
    base, head, run = pair
    summary = {"test": {"loss": 0.5}, "seconds": 2.0}
    (run / "summary.json").write_text(json.dumps(summary))
    (run / "tensorboard/train/events.1").rename(run / "tensorboard/events.2")
    (run / "export/saved_model.pb").write_bytes(b"b")
    (run / "export/variables/variables.index").write_bytes(b"b")
    for folder, seconds in ((base, "1.0"), (head, "2.0")):
        (folder / "results.csv").write_text(f"error,seconds\n0.5,{seconds}\n")
    assert compare(base, head) == NOTHING


def command(**kwargs):
    return Command("one", (Step(("train.py",)),), **kwargs)


def recordings(pair, base, head):
    return [
        Recording(folder, (ended,), ended.code == 0)
        for folder, ended in zip(pair[:2], (base, head), strict=True)
    ]


def test_a_verdict_tells_texts_apart_from_results(pair):
    # The second was slower, and said how far it was.
    ended = (
        Ended(0, "loss 0.5, 3.1 ms/step"),
        Ended(0, "  step 3/9  loss 1\nLOSS 0.5, 4 ms/step"),
    )
    verdict = judge(command(), *recordings(pair, *ended))
    assert (verdict.text, verdict.failed) == ("same", False)
    assert verdict.notes == [
        "text of step 1, line 1: loss 0.5, ms/step / LOSS 0.5, ms/step"
    ]


@pytest.mark.parametrize(
    "base, head, text, failed",
    [
        (Ended(2, errors="Bad."), Ended(0), "did not exist in BASE: Bad.", 0),
        (
            Ended(0),
            Ended(1, errors="No module named cb.plots", missing=True),
            "did not exist in HEAD: No module named cb.plots",
            0,
        ),
        (
            Ended(0),
            Ended(1, errors="Oops"),
            "differs: step 1 ended with 0 / 1: Oops",
            1,
        ),
        (
            Ended(2, errors="Bad."),
            Ended(2, errors="Bad."),
            "differs: step 1 ended with 2 / 2: Bad.",
            1,
        ),
    ],
    ids=["new", "gone", "broken", "refused in both"],
)
def test_how_a_command_ended_is_told(pair, base, head, text, failed):
    verdict = judge(command(), *recordings(pair, base, head))
    assert (verdict.text, verdict.failed) == (text, bool(failed))


def test_folders_that_must_be_equal_within_head_are_compared(pair):
    base, head, _ = pair
    for folder in (base, head):
        (folder / "whole").mkdir()
        (folder / "killed").mkdir()
        (folder / "whole/metrics.csv").write_text("1")
        (folder / "killed/metrics.csv").write_text("2")
    verdict = judge(
        command(equal=("whole", "killed")),
        *recordings(pair, Ended(0), Ended(0)),
    )
    assert verdict.failed
    assert verdict.text.endswith("killed in HEAD: metrics.csv: line 1: 1 / 2")


def tree(folder, text):
    """Make a tree whose `train.py` writes a text into the run folder."""
    folder.mkdir()
    code = f"open('found.txt', 'a').write({text!r})"
    (folder / "train.py").write_text(code)
    return folder


def test_head_goes_on_from_what_base_has_made(tmp_path):
    step = Step(("train.py",))
    both = Command("both", (step, step), made_by_base=1)
    base = Recorder(tree(tmp_path / "a", "a"), *[tmp_path / "base"] * 2)
    head = Recorder(
        tree(tmp_path / "b", "b"), tmp_path / "head", tmp_path / "base"
    )
    for recorder, text in ((base, "aa"), (head, "ab")):
        recorder.folder.mkdir()
        recording = recorder.record(both)
        assert recording.right
        assert (recording.folder / "found.txt").read_text() == text


def test_a_recording_is_kept_for_the_same_command_only(tmp_path):
    recorder = Recorder(tree(tmp_path / "a", "a"), *[tmp_path / "kept"] * 2)
    recorder.folder.mkdir()
    one = Command("one", (Step(("train.py",)),))
    assert recorder.kept(one) is None
    made = recorder.record(one)
    assert recorder.kept(one) == made
    assert recorder.kept(Command("one", (Step(("train.py", "-x")),))) is None


def test_a_script_that_is_not_there_is_told(tmp_path):
    recorder = Recorder(tree(tmp_path / "a", "a"), *[tmp_path / "kept"] * 2)
    recorder.folder.mkdir()
    recorder.record(Command("one", (Step(("tune.py",)),)))
    recording = read(recorder.folder / "one.record.json")
    assert recording.refusal == "no file tune.py"


def test_only_a_module_that_is_run_counts_as_not_there(tmp_path):
    recorder = Recorder(tree(tmp_path / "a", "a"), *[tmp_path / "kept"] * 2)
    recorder.folder.mkdir()
    (recorder.tree / "broken.py").write_text("import nowhere")
    gone, broken = (
        recorder.record(Command(name, (Step(words),)))
        for name, words in (
            ("gone", ("-m", "nowhere")),
            ("broken", ("-m", "broken")),
        )
    )
    assert gone.refusal.endswith("No module named nowhere")
    assert broken.refusal is None
    assert not broken.right


def test_every_algorithm_has_a_command():
    assert {*registered_names("cb.sparsity.reallocation")} <= {*BY_NAME}
    assert len(BY_NAME) == len(COMMANDS)
    # What is gone on from comes first.
    places = {command.name: n for n, command in enumerate(COMMANDS)}
    for found in COMMANDS:
        assert not found.after or places[found.after] < places[found.name]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--base"),
        (["--base="], "must be a revision"),
        (["--base=no-such-revision"], "must be a revision"),
        (["--base=HEAD", "--only=nothing"], "'nothing'"),
        (["--base=HEAD", "--head=/proc/none"], "tree of the project"),
        (["--base=HEAD", "--wrong"], "--wrong"),
    ],
)
def test_bad_input_is_one_line(arguments, message):
    with pytest.raises(same.BadInput, match=message):
        same.main(arguments)
