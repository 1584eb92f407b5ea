"""The files of results."""

import json
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
    # Results are no code.
    (tmp_path / "results.csv").write_text("")
    assert results.code_commit()
    (tmp_path / "cb" / "code.py").write_text("one = 2\n")
    with pytest.raises(InputError, match="committed state"):
        results.code_commit()


def test_results_are_complete_lines():
    for name in published.tables():
        for result in results.read(name):
            assert result.date and result.hardware and result.commit
            assert (result.status == results.DONE) == bool(result.name)
            assert json.loads(str(result.seed)) >= 0
