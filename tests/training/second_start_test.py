"""Every row of the table in docs/second_start.md."""

import json
import re
import shutil
import subprocess

import pytest

from tests import forks
from tests.commands import ROOT
from tests.commands import run

pytestmark = pytest.mark.slow

TABLE = (ROOT / "docs" / "second_start.md").read_text()
ROWS = re.findall(r"^\| ([^|]+) \|", TABLE, re.MULTILINE)[1:]


def table(number=60, shift=0):
    rows = [f"{n % 9 + shift},{n % 5},{'ab'[n % 2]}" for n in range(number)]
    return "\n".join(["x,y,k", *rows]) + "\n"


def train(folder, *flags, path="t.csv", prepare=()):
    code, printed, errors = run(
        "train.py",
        f"--dataset=csv(path='{path}', label='k')",
        "--model=mlp(units=(4,))",
        "--sparsity=0.5",
        "--batch_size=8",
        "--epochs=1",
        "--run_dir=run",
        *flags,
        folder=folder,
        prepare=prepare,
    )
    # Sentences without the breaks of lines.
    return code, printed.replace("\n  ", " "), errors


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "t.csv").write_text(table())
    code, printed, errors = train(folder)
    assert code == 0, errors
    assert "2 classes of label 'k': a, b; 2 features: x, y" in printed
    noted = json.loads((folder / "run" / "config.json").read_text())
    assert noted["data"]["label"] == "k"
    assert noted["data"]["features"] == ["x", "y"]
    assert noted["data"]["classes"] == ["a", "b"]
    parts = noted["data"]["parts"]
    sizes = {name: part["examples"] for name, part in parts.items()}
    # A fifth of each class for testing, a tenth of the rest for validation.
    assert sizes == {"training": 44, "validation": 4, "test": 12}
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy"


def changed(folder, change):
    """Change what a run has noted of its last start."""
    file = folder / "run" / "config.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def nothing(folder):
    code, printed, _ = train(folder)
    assert code == 0 and "Finished already" in printed
    code, printed, errors = train(folder, "--epochs=2")
    assert code == 0 and "Resuming after epoch 1" in printed, errors


def data(folder):
    (folder / "t.csv").write_text(table(62))
    for flags in ([], ["--epochs=2"]):
        code, _, errors = train(folder, *flags)
        (line,) = errors.splitlines()
        assert code == 2 and "the training part has" in line
        assert "--accept_changed_data" in line
    (folder / "t.csv").write_text(table(shift=1))
    code, _, errors = train(folder)
    assert code == 2 and "features of the training part differ" in errors
    flags = ["--epochs=2", "--accept_changed_data"]
    code, printed, errors = train(folder, *flags)
    assert code == 0 and "differ. Accepted" in printed, errors
    noted = json.loads((folder / "run" / "config.json").read_text())
    assert noted["earlier_starts"][0]["data"] != noted["data"]
    assert train(folder, "--epochs=2")[0] == 0
    # It was asked of that start alone.
    assert "accept_changed_data" not in noted["config"]
    (folder / "t.csv").write_text(table())
    flags = ("--config=run/config.json", "--epochs=3")
    code, _, errors = run("train.py", *flags, folder=folder)
    assert code == 2 and "features of the training part differ" in errors


def place(folder):
    (folder / "elsewhere").mkdir()
    (folder / "t.csv").rename(folder / "elsewhere" / "t.csv")
    code, printed, errors = train(folder, "--epochs=2", path="elsewhere/t.csv")
    assert code == 0 and "Resuming after epoch 1" in printed, errors
    assert "changed" not in printed


def moved(folder):
    (folder / "run").rename(folder / "archive")
    flags = ("--config=archive/config.json", "--run_dir=again")
    code, _, errors = run("train.py", *flags, folder=folder)
    assert code == 0, errors
    metrics = [folder / name / "metrics.csv" for name in ("archive", "again")]
    assert metrics[0].read_bytes() == metrics[1].read_bytes()
    code, printed, errors = run(
        "evaluate.py", "--run_dir=archive", folder=folder
    )
    assert code == 0 and "test  accuracy" in printed, errors
    flags = ("--run_dir=archive", "--epochs=2")
    code, printed, errors = train(folder, *flags)
    assert code == 0 and "Resuming after epoch 1" in printed, errors


def read_only(folder):
    made = folder / "run"
    subprocess.run(["chmod", "-R", "a-w", made], check=True)
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    user = {"folder": folder, "prepare": [forks.drop_privileges]}
    code, printed, errors = run("evaluate.py", "--run_dir=run", **user)
    assert code == 0 and "test  accuracy" in printed, errors
    assert "cannot be written; results are kept in" in printed
    code, printed, _ = train(folder, prepare=user["prepare"])
    assert code == 0 and "Finished already" in printed
    code, _, errors = train(folder, "--epochs=2", prepare=user["prepare"])
    assert code == 2 and "folder that can be written" in errors
    flags = ("--config=run/config.json", "--run_dir=again")
    code, _, errors = run("train.py", *flags, **user)
    assert code == 0, errors
    (folder / "t.csv").write_text(table(shift=1))
    code, _, errors = run("evaluate.py", "--run_dir=run", **user)
    assert code == 2 and "features of the test part differ" in errors
    after = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    assert after == before


def no_record(folder):
    changed(folder, lambda content: content.pop("data"))
    code, printed, errors = train(folder, "--epochs=2")
    assert code == 0 and "no record of its data" in printed, errors
    code, printed, _ = train(folder, "--epochs=3")
    assert code == 0 and "no record" not in printed


def version(folder):
    changed(folder, lambda c: c["versions"].update(keras="3.0"))
    code, printed, errors = train(folder, "--epochs=2")
    assert code == 0 and "before 3.0. Configuration, data" in printed, errors
    assert "Other code" not in train(folder, "--epochs=2")[1]


def replicas(folder):
    changed(folder, lambda c: c.update(replicas=4))
    code, printed, errors = train(folder, "--epochs=2")
    assert code == 0 and "Replicas: 1, before 4. Batches" in printed, errors


def score(folder):
    modes = [
        ("--run_dir=run",),
        ("--saved_model=run/export", "--dataset=csv('t.csv', 'k')"),
    ]
    for flags in modes:
        code, printed, errors = run("evaluate.py", *flags, folder=folder)
        assert code == 0 and "changed" not in printed, errors
    (folder / "t.csv").write_text(table(shift=1))
    for flags in modes:
        code, _, errors = run("evaluate.py", *flags, folder=folder)
        assert code == 2 and "features of the test part differ" in errors
        flags += ("--accept_changed_data",)
        code, printed, _ = run("evaluate.py", *flags, folder=folder)
        assert code == 0 and "Accepted" in printed and "accuracy" in printed


CHECKS = {
    "nothing has changed": nothing,
    "data changed": data,
    "the same data at another place": place,
    "the run has no record of its data": no_record,
    "another version of the code": version,
    "another number of replicas": replicas,
    "a score on changed data": score,
    "the folder of the run was moved": moved,
    "the folder of the run may only be read": read_only,
}


@pytest.mark.parametrize("row", ROWS)
def test_a_second_start_is_as_the_table_says(row, folder):
    CHECKS[row](folder)


def test_every_check_has_a_row():
    assert {*ROWS} >= {*CHECKS}
