"""The distribution, as a wheel that is unpacked in an empty environment."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

from cb.errors import OPTIONAL
from cb.text import program
from tests.commands import ROOT

pytestmark = pytest.mark.slow

SOURCES = ("cb", "flags", "pyproject.toml", "setup.py", "README.md", "LICENSE")
# What the script of an installation does.
SCRIPT = "from cb.flags.main import main; main()"
WITHOUT = "import sys; sys.modules.update(dict.fromkeys({}))\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the wheel of a copy of the sources; return it unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    tree.mkdir()
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in SOURCES:
        copy = shutil.copy if (ROOT / name).is_file() else shutil.copytree
        options = {"ignore": unwanted} if (ROOT / name).is_dir() else {}
        copy(ROOT / name, tree / name, **options)
    build = "pip wheel --no-deps --no-build-isolation --quiet --wheel-dir"
    command = [sys.executable, "-m", *build.split(), str(folder), str(tree)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("cb_sparse-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(folder / "site")
    return folder / "site"


def run(site, folder, *words, missing=()):
    """Run the script `cb` with some packages missing, in a new process."""
    file = folder / "cb"
    file.write_text(WITHOUT.format([*missing]) + SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, str(file), *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


def test_all_modules_and_data_are_in_the_wheel(site):
    for source, place in (("cb", "cb"), ("flags", "cb/flags")):
        for file in (ROOT / source).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                inside = file.relative_to(ROOT / source)
                assert (site / place / inside).is_file(), inside
    (entries,) = site.glob("*.dist-info/entry_points.txt")
    assert "cb = cb.flags.main:main" in entries.read_text()


def test_the_first_word_names_a_command(site, tmp_path):
    code, printed, _ = run(site, tmp_path)
    assert code == 0
    for name in ("train", "evaluate", "tune", "plots", "launch"):
        assert f"cb {name} " in printed
        code, text, errors = run(site, tmp_path, name, "--help")
        assert code == 0, errors
        assert "--" in text
    code, _, errors = run(site, tmp_path, "trian")
    assert code == 2
    assert errors.count("\n") == 1
    assert "Did you mean 'train'?" in errors


def test_the_base_packages_are_enough_to_train(site, tmp_path):
    words = ("train", "--epochs=1", "--run_dir=run")
    code, printed, errors = run(site, tmp_path, *words, missing=OPTIONAL)
    assert (code, errors) == (0, "")
    assert "tensorboard --logdir run/tensorboard" in printed
    assert (tmp_path / "run" / "export").is_dir()


@pytest.mark.parametrize(
    "words, packages",
    [(("plots", "."), "matplotlib plotly"), (("tune",), "keras-tuner optuna")],
)
def test_a_missing_package_is_named(site, tmp_path, words, packages):
    code, _, errors = run(site, tmp_path, *words, missing=OPTIONAL)
    assert code == 2
    assert errors.count("\n") == 1
    assert f"`pip install {packages}" in errors


def test_nobody_is_told_to_install_what_is_not_ours():
    """`cb` on the package index belongs to somebody else."""
    for pattern in ("cb/**/*.py", "flags/**/*.py", "docs/*.md", "*.md"):
        for file in ROOT.glob(pattern):
            for stranger in ("install cb", "install 'cb", 'install "cb'):
                assert stranger not in file.read_text(), file


def test_programs_are_named_as_they_were_called(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/local/bin/cb", "--epochs=1"])
    assert program("train") == "cb train"
    assert program("plots") == "cb plots"
    monkeypatch.setattr(sys, "argv", ["tune.py"])
    assert program("train") == "python train.py"
    assert program("launch") == "python -m cb.launch"


USER = """
import cb
import keras

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
sparse = cb.sparsify(model, sparsity=0.5)
callbacks = [cb.callbacks.Reallocation("rigl(every=100)")]
sparse.compile("sgd", "mse")
cb.sparsify(model, sparsitee=0.5)
cb.sparsfy(model)
cb.callbacks.Realocation("rigl")
"""


def test_a_type_checker_sees_the_public_names(site, tmp_path):
    file = tmp_path / "user.py"
    file.write_text(USER)
    cache = pathlib.Path(tmp_path, "cache")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--ignore-missing-imports"),
            *("--follow-imports=silent", f"--cache-dir={cache}", str(file)),
        ],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(site)},
        capture_output=True,
        text=True,
    )
    found = [line for line in done.stdout.splitlines() if "error:" in line]
    assert [line.split(":")[1] for line in found] == ["9", "10", "11"], found
    assert 'did you mean "sparsity"' in found[0]
    assert 'no attribute "sparsfy"' in found[1]
