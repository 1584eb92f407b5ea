"""Checkpoints are whole, or known not to be."""

import numpy as np
import pytest

from cb.errors import InputError
from cb.files import replacing
from cb.runs import checkpoint
from cb.runs.checkpoint import Checkpoint
from cb.runs.checkpoint import CheckpointFolder
from cb.runs.checkpoint import CorruptCheckpoint


def example(step):
    values = np.random.default_rng(step).random((50, 20), np.float32)
    return Checkpoint({"a/b": values, "n": np.int64(step)}, {"step": step})


def test_reads_what_was_written(tmp_path):
    checkpoint.save(tmp_path / "x.npz", example(3))
    read = checkpoint.load(tmp_path / "x.npz")
    assert read.meta == {"step": 3}
    for key, value in example(3).arrays.items():
        assert read.arrays[key].tobytes() == value.tobytes()
    assert [file.name for file in tmp_path.iterdir()] == ["x.npz"]


def test_every_changed_byte_of_the_arrays_is_noticed(tmp_path):
    file = tmp_path / "x.npz"
    checkpoint.save(file, example(0))
    content = file.read_bytes()
    for position in range(200, len(content) - 600, 97):
        changed = bytearray(content)
        changed[position] ^= 1
        file.write_bytes(changed)
        try:
            read = checkpoint.load(file)
        except CorruptCheckpoint:
            continue
        # Padding and dates in the headers of the archive do not matter.
        for key, value in example(0).arrays.items():
            assert read.arrays[key].tobytes() == value.tobytes()


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_noticed(tmp_path, part):
    file = tmp_path / "x.npz"
    checkpoint.save(file, example(0))
    content = file.read_bytes()
    file.write_bytes(content[: int(part * len(content))])
    with pytest.raises(CorruptCheckpoint):
        checkpoint.load(file)


def test_goes_back_to_the_previous_checkpoint_and_says_so(tmp_path):
    folder = CheckpointFolder(tmp_path)
    assert folder.latest() == (None, [])
    for step in (1, 2):
        folder.save("last", example(step))
    assert folder.latest()[0].meta["step"] == 2
    folder.file("last").write_bytes(b"PK")
    found, messages = folder.latest()
    assert found.meta["step"] == 1
    assert "not intact" in messages[0] and "last.npz" in messages[0]


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path):
    folder = CheckpointFolder(tmp_path)
    folder.save("last", example(1))
    folder.file("last").rename(folder.file("previous"))
    assert folder.latest()[0].meta["step"] == 1


def test_falls_back_to_the_latest_numbered_one(tmp_path):
    folder = CheckpointFolder(tmp_path)
    for number in (9, 10):
        folder.save(number, example(number))
    assert folder.latest()[0].meta["step"] == 10
    assert folder.names() == ["9", "10"]


def test_a_name_that_is_not_there_lists_the_others(tmp_path):
    folder = CheckpointFolder(tmp_path)
    folder.save("best", example(1))
    with pytest.raises(InputError, match=r"'7' does not exist.*\['best'\]"):
        folder.load("7")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    file = tmp_path / "x.npz"
    checkpoint.save(file, example(1))
    with pytest.raises(TypeError):
        checkpoint.save(file, Checkpoint({}, {"step": object()}))
    assert checkpoint.load(file).meta == {"step": 1}


def test_a_write_that_breaks_off_leaves_no_part_behind(tmp_path):
    file = tmp_path / "x.npz"
    checkpoint.save(file, example(1))
    with pytest.raises(OSError), replacing(file) as opened:
        opened.write(b"half")
        raise OSError(28, "No space left on device")
    assert [item.name for item in tmp_path.iterdir()] == ["x.npz"]
    assert checkpoint.load(file).meta == {"step": 1}
