"""What the README shows, run as it stands."""

import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits

from benchmarks import first_screen
from benchmarks import tables
from cb.layers.masked import masked_kernels
from tests.commands import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pasted(tmp_path_factory):
    """Run the first example as it is; return its folder and its names."""
    folder = tmp_path_factory.mktemp("readme")
    first, _ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(first, names)
    return folder, names


def test_the_first_example_runs_as_pasted(pasted):
    folder, names = pasted
    x, labels = load_digits(return_X_y=True)
    model = names["model"]
    kernels = masked_kernels(model)
    total = sum(int(np.prod(kernel.mask.shape)) for kernel in kernels)
    active = sum(int(np.count_nonzero(kernel.mask)) for kernel in kernels)
    assert active == round(0.1 * total)
    assert names["rigl"].get_state()["totals"][0] > 0
    x = x.astype("float32")
    expected = model.predict(x, verbose=0)
    assert np.mean(expected.argmax(axis=1) == labels) > 0.9
    exported = tf.saved_model.load(folder / "exported")
    signature = exported.signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]
    (found,) = signature(**{name: tf.constant(x)}).values()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(names["predict"](x), expected, atol=1e-5)


def test_the_example_of_exports_runs_after_it(pasted, monkeypatch):
    folder, names = pasted
    _, exporting = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(folder)
    images = names["x"].astype("float32")
    names["images"] = images
    exec(exporting, names)
    expected = names["model"].predict(images, verbose=0)
    np.testing.assert_allclose(names["predict"](images), expected, atol=1e-5)
    assert (folder / "model.tflite").stat().st_size > 0


def test_its_numbers_and_picture_are_those_of_the_benchmarks(tmp_path):
    """`python -m benchmarks.first_screen` makes them so."""
    assert first_screen.renewed(README) == README
    assert "lite" in next(iter(first_screen.networks().values()))
    assert set(first_screen.curves()) == {"dense", *first_screen.METHODS}
    first_screen.draw(tmp_path / "picture.png")
    sizes = []
    for file in (tmp_path / "picture.png", first_screen.FIGURE):
        with Image.open(file) as picture:
            sizes.append(picture.size)
    assert sizes[0] == sizes[1]


def test_the_first_screen_is_one():
    """Two sentences, a picture, numbers, a command and an example."""
    first = README.split("## Install")[0]
    assert len(first.splitlines()) < 70
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link


def test_the_cost_of_sparse_training_is_what_was_measured():
    rows = tables.read(ROOT / "benchmarks" / "masked_step.csv")
    shown = [row for name, row in rows.items() if name.endswith(", sgd")]
    text = " ".join((ROOT / "README.md").read_text().split())
    sentence = text[text.index("A step of sparse training with RigL") :]
    said = re.findall(r"\b\d\.\d\d\b", sentence)[:6]
    expected = []
    for key in ("sparse", "sparse_of_fused", "toolkit"):
        found = [float(row[key].split()[0]) for row in shown if row[key]]
        expected += [f"{end(found):.2f}" for end in (min, max)]
    assert said == expected
