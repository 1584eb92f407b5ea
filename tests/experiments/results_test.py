"""The files of results."""

import subprocess

import pytest

from cb.errors import InputError
from experiments import published
from experiments import results
from tests.experiments.small_table import line


def test_lines_come_back_as_they_were_written(tmp_path):
    written = [line(50.0, 0), line(None, 1, "diverged")]
    results.append("small", written[:1], tmp_path)
    results.append("small", written[1:], tmp_path)
    assert results.read("small", tmp_path) == written


def test_commits_are_not_mixed_unless_told(tmp_path):
    found = [line(50.0, 0)]
    results.check_commits(found, "abc")
    results.check_commits(found, "def", mixed=True)
    with pytest.raises(InputError, match="from one commit.*def, and abc"):
        results.check_commits(found, "def")


GOOD = "a/b,0,accuracy,98,done,2026-11-29,a,abc,--epochs=1\n"


@pytest.mark.parametrize(
    "text, received",
    [
        ("", "columns none (its first line)"),
        ("experiment,seed\na,0\n", "columns experiment, seed (its first"),
        ("{head}\na/b,0,accuracy,98\n", "4 values (line 2)"),
        ("{head}\n{good}{good}", "a result that stands there already (line 3)"),
        ("{head}\n{good}\n", "0 values (line 3)"),
        *(
            (f"{{head}}\n{GOOD.replace(old, new)}", received)
            for old, new, received in (
                (",0,", ",zero,", "seed 'zero'"),
                (",0,", ",-1,", "seed '-1'"),
                (",98,", ",9800,", "accuracy 9800"),
                (",98,", ",nan,", "accuracy nan"),
                (",98,", ",,", "could not convert"),
                ("done", "dun", "'accuracy' '98' 'dun'"),
                ("done", "diverged", "'accuracy' '98' 'diverged'"),
                ("abc", "", "an empty value"),
            )
        ),
        ("\0", "columns"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, text, received):
    file = tmp_path / "small.csv"
    head = ",".join(results.Result._fields)
    file.write_text(text.format(head=head, good=GOOD))
    with pytest.raises(InputError, match="must have lines of exp") as caught:
        results.read("small", tmp_path)
    assert f"Received: {received}" in str(caught.value)
    before = file.read_bytes()
    with pytest.raises(InputError, match="must have lines of exp"):
        results.append("small", [line(50.0, 0)], tmp_path)
    assert file.read_bytes() == before


def test_what_could_not_be_read_is_not_written(tmp_path):
    written = [line(50.0, 0)]
    results.append("small", written, tmp_path)
    for wrong in (line(float("nan"), 1), line(101.0, 1), written[0]):
        with pytest.raises(InputError, match="must have lines of exp.*line 3"):
            results.append("small", [wrong], tmp_path)
    assert results.read("small", tmp_path) == written


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "small.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.csv").mkdir()
    for name in ("small", "folder"):
        with pytest.raises(InputError, match=f"{name}.csv' must have lines"):
            results.read(name, tmp_path)


@pytest.mark.slow
def test_changed_code_has_no_commit(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)

    (tmp_path / "cb").mkdir()
    (tmp_path / "cb" / "code.py").write_text("one = 1\n")
    git("init", "--quiet")
    git("add", ".")
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    git(*who, "commit", "--quiet", "--message=one")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    assert len(results.code_commit()) >= 7
    # A training reads it, and it is not committed.
    (tmp_path / "experiments" / "schedules").mkdir(parents=True)
    schedule = tmp_path / "experiments" / "schedules" / "one.yaml"
    schedule.write_text("0: {learning_rate: 1}\n")
    with pytest.raises(InputError, match="committed state"):
        results.code_commit()
    schedule.unlink()
    # Results are no code.
    (tmp_path / "results.csv").write_text("")
    assert results.code_commit()
    (tmp_path / "cb" / "code.py").write_text("one = 2\n")
    with pytest.raises(InputError, match="committed state"):
        results.code_commit()


def test_results_are_complete_lines_of_different_runs():
    for name in published.tables():
        found = results.read(name)
        for result in found:
            assert result.date and result.hardware and result.commit
            assert (result.status == results.DONE) == bool(result.name)
            assert (result.status == results.DONE) == (result.value is not None)
            assert result.seed >= 0
        # A line that stands twice would count for two seeds.
        keys = {(r.experiment, r.seed, r.name, r.flags) for r in found}
        assert len(keys) == len(found)
