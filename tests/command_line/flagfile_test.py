"""Flagfiles are text that the command line overrides, wherever they lie."""

import pytest

from cb.errors import InputError
from flags import training
from flags.flagfile import expanded

# Define the flags.
assert training


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name, text, encoding="utf-8"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text.encode(encoding))
        return f"--flagfile={name}"

    return write


def test_the_command_line_comes_last(write):
    flag = write("a.flags", "# both\n//\n\n  --epochs=5  \n--include=a,b\n")
    for words in (
        [flag, "--epochs=3", "--include=c"],
        ["--epochs=3", flag, "--include=c"],
        ["--epochs=3", "--include=c", *flag.split("=")],
    ):
        assert expanded(words) == [
            "--epochs=5",
            "--include=a,b",
            "--epochs=3",
            "--include=c",
        ]


def test_a_file_is_looked_for_beside_the_one_that_includes_it(write):
    write("sub/inner.flags", "--seed=1\n--epochs=1")
    flag = write("sub/outer.flags", "--epochs=2\n--flagfile=inner.flags")
    assert expanded([flag]) == ["--seed=1", "--epochs=1", "--epochs=2"]
    flag = write("from_above.flags", "--flagfile=sub/outer.flags")
    assert expanded([flag, "--seed=3"])[-1] == "--seed=3"


def test_home_is_written_out(write, monkeypatch, tmp_path):
    write("a.flags", "--seed=1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir("/")
    assert expanded(["--flagfile=~/a.flags"]) == ["--seed=1"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_letters_and_line_ends_are_those_of_any_editor(write, encoding):
    flag = write("a.flags", "--name=é\r\n--seed=1\r\n", encoding)
    assert expanded([flag]) == ["--name=é", "--seed=1"]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ([], ["reallocation.every=5", "'epochs=2'"]),
        (["--epochs=3"], ["reallocation.every=5"]),
        (["--reallocation=set"], ["'epochs=2'"]),
        (["--set=epochs=3"], ["reallocation.every=5", "'epochs=2'"]),
    ],
)
def test_a_flag_replaces_what_a_file_sets_of_it(write, given, left):
    flag = write("a.flags", "--set=reallocation.every=5\n--set='epochs=2'")
    expected = [f"--set={setting}" for setting in left]
    assert expanded([flag, *given]) == [*expected, *given]


@pytest.mark.parametrize("name", ["include", "exclude", "worker_hosts"])
def test_a_list_is_given_once_at_each_level(write, name):
    flag = write("a.flags", f"--{name}=a\n--{name}=b")
    for words, place in (
        ([flag], "'a.flags'"),
        ([f"--{name}=a", f"-{name}=b"], "the command line"),
    ):
        with pytest.raises(InputError, match=f"`{name}`.* 2 times in {place}"):
            expanded(words)


def test_other_flags_may_be_repeated():
    words = ["--epochs=1", "--set=seed=1", "--epochs=2", "--set=name=a"]
    assert expanded(words) == words


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--flagfile=nowhere", "cannot be read: '.*nowhere'"),
        ("--flagfile=a.flags", "not include itself"),
        ("--flagfile=", "must be a text file of flags"),
        ("--seed=1\n--name=\udce9", "byte 0xed in line 2"),
    ],
)
def test_files_that_are_none_are_refused(write, tmp_path, text, message):
    write("a.flags", "")
    (tmp_path / "a.flags").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=f"`flagfile` .*{message}"):
        expanded(["--flagfile=a.flags"])
