"""Every layer that has a rule of compaction keeps what a model computes."""

import keras
import numpy as np
import pytest

import cb
from cb.export.rule_table import _RULES

layers = keras.layers
CHANNELS = 8
IMAGES = {"1D": (8, 3), "2D": (6, 6, 3), "3D": (5, 5, 5, 3)}
ARGUMENTS = {
    "Activation": {"activation": "sigmoid"},
    "Cropping": {"cropping": 1},
    "Dense": {"units": 6, "activation": "relu"},
    "Dropout": {"rate": 0.5},
    "GaussianNoise": {"stddev": 0.5},
    "GhostBatchNormalization": {"virtual_batch_size": 4},
    "Permute": {"dims": (2, 1, 3)},
    "PReLU": {"alpha_initializer": "ones", "shared_axes": (1, 2)},
    "RepeatVector": {"n": 3},
    "Rescaling": {"scale": 0.5, "offset": 0.1},
    "Reshape": {"target_shape": (3, 12, CHANNELS)},
}
MERGING = "Add Average Maximum Minimum Multiply Subtract Concatenate".split()


def arguments(name):
    if "Conv" in name:
        filters = {} if name.startswith("Depthwise") else {"filters": 6}
        return {**filters, "kernel_size": 2, "activation": "relu"}
    if name.startswith(("Average", "Max")) and "Pooling" in name:
        return {"pool_size": 2}
    family = next((f for f in ("Cropping", "Dropout") if f in name), name)
    return ARGUMENTS.get(family, {})


def network(kind):
    """Put a layer between two, with channels dead on either side of it."""
    name = kind.__name__
    rank = next((r for r in IMAGES if r in name), "2D")
    shape = (3,) if name == "RepeatVector" else IMAGES[rank]
    inputs = keras.Input(shape)
    before = [layers.Dense(CHANNELS, "relu") for _ in range(2)]
    if name in MERGING:
        x = kind()([layer(inputs) for layer in before])
    else:
        x = kind(**arguments(name))(before[0](inputs))
    after = layers.Dense(3)
    model = keras.Model(inputs, after(x))
    random = np.random.default_rng(0)
    for variable in model.variables:
        if variable.dtype == "float32":
            variable.assign(random.uniform(0.1, 1.0, variable.shape))
    for layer in [*before, *model.layers]:
        for variable in layer.variables if layer.built else []:
            if "kernel" in variable.name:
                signs = random.choice([-1.0, 0.0, 1.0], variable.shape)
                variable.assign(variable * signs)
    for layer in before:
        if layer.built:
            # One of them holds a number, the other zero, whatever comes in.
            kernel, bias = map(np.array, layer.get_weights())
            kernel[:, :2], bias[:2] = 0.0, (0.7, -0.7)
            layer.set_weights([kernel, bias])
    kernel, bias = map(np.array, after.get_weights())
    channels = CHANNELS if name == "Flatten" else x.shape[-1]
    kernel.reshape(-1, channels, 3)[:, -1] = 0.0
    after.set_weights([kernel, bias])
    return model, random.normal(size=(4, *shape)).astype("float32")


@pytest.mark.parametrize("kind", _RULES, ids=lambda kind: kind.__name__)
def test_a_rule_removes_channels_and_keeps_the_function(kind):
    model, x = network(kind)
    reports = []
    small = cb.export.compact(model, report=reports.append)
    expected = np.array(model(x))
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(small(x), expected, atol=1e-5 * scale)
    assert reports[0].removed > 0
    assert small.count_params() < model.count_params()
