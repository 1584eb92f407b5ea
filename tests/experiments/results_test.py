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


@pytest.mark.parametrize(
    "text", ["", "experiment,seed\na,0\n", "{head}\na/b,0,accuracy,98\n"]
)
def test_a_damaged_file_is_named(tmp_path, text):
    file = tmp_path / "small.csv"
    file.write_text(text.format(head=",".join(results.Result._fields)))
    with pytest.raises(InputError, match="small.csv' must have lines of exp"):
        results.read("small", tmp_path)


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
