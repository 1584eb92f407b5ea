"""What the page for users of the TensorFlow toolkit shows, run as it stands."""

import os
import re
import warnings
from unittest import mock

import numpy as np
import pytest

import cb
from cb.errors import NotReached
from tests.commands import ROOT

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs/from_tfmot.md").read_text()


@pytest.fixture(scope="module")
def sections():
    """Return the headings of the page with their blocks of code."""
    parts = re.split(r"^## (.*)\n", PAGE, flags=re.MULTILINE)
    texts = [parts[0], *parts[2::2]]
    return dict(
        zip(
            ["", *parts[1::2]],
            [re.findall(r"```python\n(.*?)```", t, re.DOTALL) for t in texts],
            strict=True,
        )
    )


@pytest.fixture(scope="module")
def names(sections, tmp_path_factory):
    """Run the first blocks; return names, with the models of both sides."""
    folder = tmp_path_factory.mktemp("page")
    names = {}
    # The toolkit asks for the old Keras in all processes that begin later, and
    # for versions in a deprecated way.
    with warnings.catch_warnings(), mock.patch.dict(os.environ):
        warnings.simplefilter("ignore")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            exec(sections[""][0], names)
            theirs, ours = sections["A whole program"]
            exec(theirs, names)
            names["toolkit_model"] = names["model"]
            warnings.simplefilter("error", NotReached)
            exec(ours, names)
    names["folder"] = folder
    return names


def zeros(model):
    """Return the share of zeros in every kernel."""
    kernels = [w for w in model.get_weights() if w.ndim > 1]
    return [float(np.mean(kernel == 0)) for kernel in kernels]


def test_both_programs_prune_to_the_same_sparsity(names):
    assert zeros(names["model"]) == pytest.approx([0.8] * 3, abs=1e-3)
    assert zeros(names["toolkit_model"]) == pytest.approx([0.8] * 3, abs=1e-3)
    written = names["folder"].rglob("events*")
    logs = {file.relative_to(names["folder"]).parts[1] for file in written}
    assert logs == {"toolkit", "cb"}


TITLES = [
    title
    for title in re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    if title not in ("A whole program", "What else is different")
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("title", TITLES)
def test_other_programs_run(title, names, sections, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {**names}
    names["schedule"] = names["pruning"].ConstantSparsity(0.5, 0, frequency=20)
    assert sections[title]
    for code in sections[title]:
        exec(code, names)
    if title == "Some of the layers":
        kernels = cb.costs.costs(names["model"]).layers
        density = [
            layer.weights.nonzero / layer.weights.kernels for layer in kernels
        ]
        assert density == pytest.approx([0.1, 0.5, 1.0], abs=1e-3)
    if title == "To TFLite":
        sizes = {f.name: f.stat().st_size for f in tmp_path.iterdir()}
        assert sizes["cb.tflite"] < 0.5 * sizes["toolkit.tflite"]
