"""Files are replaced whole or stay as they were."""

import multiprocessing
import os
import signal

import pytest

from cb.files import replacing


def write(file, content, **kwargs):
    with replacing(file, **kwargs) as opened:
        opened.write(content)


def names(folder):
    return sorted(item.name for item in folder.iterdir())


@pytest.mark.parametrize("shared", [False, True])
def test_the_new_content_takes_the_place_of_the_old(tmp_path, shared):
    file = tmp_path / "x.json"
    for content in (b"first", b"second"):
        write(str(file), content, shared=shared)
        assert file.read_bytes() == content
    assert names(tmp_path) == ["x.json"]


def test_content_is_on_disk_before_the_name_and_the_name_at_the_end(
    tmp_path, monkeypatch
):
    done = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        done.append(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def noted_replace(source, target):
        done.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write(tmp_path / "x.json", b"content")
    folder = os.path.realpath(tmp_path)
    assert done == [f"{folder}/.x.json.part", "replace", folder]


def test_an_error_in_the_block_keeps_the_old_content(tmp_path):
    file = tmp_path / "x.json"
    write(file, b"old")
    with pytest.raises(KeyError), replacing(file) as opened:
        opened.write(b"half of the")
        raise KeyError
    assert file.read_bytes() == b"old"
    assert names(tmp_path) == ["x.json"]


def _die_inside(file):
    with replacing(file) as opened:
        opened.write(b"half of the")
        opened.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_kill_keeps_the_old_content_and_the_next_write_cleans_up(tmp_path):
    file = tmp_path / "x.json"
    write(file, b"old")
    process = multiprocessing.Process(target=_die_inside, args=(file,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert file.read_bytes() == b"old"
    assert names(tmp_path) == [".x.json.part", "x.json"]
    write(file, b"new")
    assert file.read_bytes() == b"new"
    assert names(tmp_path) == ["x.json"]


def _write_inside(file):
    write(file, b"of another process", shared=True)


def test_processes_may_share_a_file(tmp_path):
    file = tmp_path / "labels.npy"
    process = multiprocessing.Process(target=_write_inside, args=(file,))
    with replacing(file, shared=True) as opened:
        opened.write(b"of this one")
        process.start()
        process.join()
        assert process.exitcode == 0
        assert file.read_bytes() == b"of another process"
    assert file.read_bytes() == b"of this one"
    assert names(tmp_path) == ["labels.npy"]


def test_no_folder_is_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "missing" / "x.json", b"content")
    assert names(tmp_path) == []


def test_what_is_not_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match=r"\.x\.json\.part"):
        write(tmp_path / "file" / "x.json", b"content")
