"""What the README shows, run as it stands."""

import re

import numpy as np
import pytest
import tensorflow as tf

from cb.layers.masked import masked_kernels
from tests.commands import ROOT


# Keras says so of every data set that is given to `fit`.
@pytest.mark.filterwarnings("ignore:.shuffle=True. was passed:UserWarning")
# It is shorter here than the interval of events.
@pytest.mark.filterwarnings("ignore:No event of RigL:UserWarning")
def test_the_examples_in_python_run(tmp_path, monkeypatch):
    training, exporting = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    images = generator.normal(size=(8, 32, 32, 3)).astype("float32")
    labels = np.arange(8) % 10
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)
    names = {"data": data, "images": images}
    exec(training, names)
    model = names["model"]
    kernels = masked_kernels(model)
    total = sum(int(np.prod(kernel.mask.shape)) for kernel in kernels)
    active = sum(int(np.count_nonzero(kernel.mask)) for kernel in kernels)
    assert active == round(0.1 * total)
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(
        exported.serve(images), model.predict(images, verbose=0), atol=1e-6
    )
    exec(exporting, names)
    np.testing.assert_allclose(
        names["predict"](images), model.predict(images, verbose=0), atol=1e-5
    )
