"""The engine's graph computes what the Keras layers do, rule by rule."""

import keras
import numpy as np
import pytest

from cb.engine import reference
from cb.export import graph as graphs
from cb.export import lowering
from cb.layers import GhostBatchNormalization

layers = keras.layers


def randomized(model, seed=0):
    """Draw all weights, the statistics of normalizations too."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        value = random.uniform(0.2, 1, weight.shape)
        if "kernel" in weight.name:
            value = random.normal(size=weight.shape) * (value > 0.5)
        weight.assign(value)
    return model


def lowered(model):
    graph = graphs.trace(model)
    reasons = {call.name: lowering.obstacle(call) for call in graph.calls}
    assert not any(reasons.values()), reasons
    sources = keras.tree.flatten(graph.inputs)
    results = keras.tree.flatten(graph.outputs)
    return lowering.lower(graph.calls, sources, results)


def images(shapes, examples=3, seed=1):
    random = np.random.default_rng(seed)
    return [
        random.normal(size=(examples, *shape)).astype("float32")
        for shape in shapes
    ]


def as_engine(x):
    """Return a batch with axes for height and width."""
    return x.reshape(len(x), *(1, 1, *x.shape[1:])[-3:])


def same(model, *shapes):
    graph = lowered(randomized(model))
    inputs = images(shapes)
    expected = keras.tree.flatten(
        model(inputs if len(inputs) > 1 else inputs[0], training=False)
    )
    found = reference.run(graph, *map(as_engine, inputs))
    for one, other in zip(expected, found, strict=True):
        other = other.reshape(one.shape)
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-4)


IMAGE, SEQUENCE, VECTOR = (7, 6, 4), (9, 4), (5,)
CASES = [
    (VECTOR, lambda: layers.Dense(3, "tanh")),
    (VECTOR, lambda: layers.Dense(3, "softmax", use_bias=False)),
    (SEQUENCE, lambda: layers.Dense(3, "sigmoid")),
    (IMAGE, lambda: layers.Dense(3, "relu6")),
    (IMAGE, lambda: layers.Conv2D(6, 3, padding="same", activation="relu")),
    (IMAGE, lambda: layers.Conv2D(6, (2, 3), 2, padding="same")),
    (IMAGE, lambda: layers.Conv2D(6, 3, (2, 3), padding="valid")),
    (IMAGE, lambda: layers.Conv2D(6, 3, padding="same", dilation_rate=2)),
    (IMAGE, lambda: layers.Conv2D(6, (3, 1), groups=2, use_bias=False)),
    (IMAGE, lambda: layers.Conv2D(6, 1, 2, activation="silu")),
    (IMAGE, lambda: layers.DepthwiseConv2D(3, 2, "same", 2)),
    (IMAGE, lambda: layers.DepthwiseConv2D((2, 3), activation="elu")),
    (IMAGE, lambda: layers.SeparableConv2D(5, 3, 2, "same")),
    (SEQUENCE, lambda: layers.Conv1D(6, 4, 2, "same", activation="relu")),
    (SEQUENCE, lambda: layers.Conv1D(6, 3, padding="causal", dilation_rate=2)),
    (SEQUENCE, lambda: layers.DepthwiseConv1D(3, 2, "same")),
    (SEQUENCE, lambda: layers.SeparableConv1D(5, 3)),
    (IMAGE, lambda: layers.BatchNormalization()),
    (IMAGE, lambda: layers.BatchNormalization(scale=False, center=False)),
    (IMAGE, lambda: GhostBatchNormalization(2)),
    (IMAGE, lambda: layers.Rescaling(0.5, offset=1.0)),
    (IMAGE, lambda: layers.Rescaling([0.5], offset=np.array([1.0]))),
    (IMAGE, lambda: layers.Activation("hard_sigmoid")),
    (IMAGE, lambda: layers.Activation("hard_silu")),
    (IMAGE, lambda: layers.Activation("leaky_relu")),
    (IMAGE, lambda: layers.ReLU(0.7, 0.2, 0.1)),
    (IMAGE, lambda: layers.LeakyReLU(0.3)),
    (IMAGE, lambda: layers.ELU()),
    (IMAGE, lambda: layers.MaxPooling2D(3, 2, "same")),
    (IMAGE, lambda: layers.MaxPooling2D((2, 3))),
    (IMAGE, lambda: layers.AveragePooling2D(3, 2, "same")),
    (IMAGE, lambda: layers.AveragePooling2D(2, 1)),
    (SEQUENCE, lambda: layers.MaxPooling1D(3, 2, "same")),
    (SEQUENCE, lambda: layers.AveragePooling1D(2)),
    (IMAGE, lambda: layers.GlobalMaxPooling2D(keepdims=True)),
    (IMAGE, lambda: layers.GlobalAveragePooling2D()),
    (SEQUENCE, lambda: layers.GlobalMaxPooling1D()),
    (SEQUENCE, lambda: layers.GlobalAveragePooling1D()),
    (IMAGE, lambda: layers.ZeroPadding2D(((1, 2), (0, 3)))),
    (SEQUENCE, lambda: layers.ZeroPadding1D((1, 2))),
    (IMAGE, lambda: layers.Flatten()),
    (VECTOR, lambda: layers.Reshape((1, 1, 5))),
    (IMAGE, lambda: layers.Softmax()),
    (IMAGE, lambda: layers.Dropout(0.5)),
]


@pytest.mark.parametrize("shape, make", CASES)
def test_layer(shape, make):
    same(keras.Sequential([keras.Input(shape), make()]), shape)


def test_branches_and_several_inputs():
    first, second = keras.Input(IMAGE), keras.Input(IMAGE)
    joined = layers.Concatenate()([first, second, first])
    shared = layers.Conv2D(4, 1, name="shared")
    total = layers.Add()([shared(first), shared(second), second])
    model = keras.Model([first, second], [joined, total])
    same(model, IMAGE, IMAGE)


OTHERS = [
    ("dtype", lambda: layers.Dense(3, dtype="bfloat16")),
    ("channels", lambda: layers.ZeroPadding2D(data_format="channels_first")),
    ("axis", lambda: layers.BatchNormalization(axis=1)),
    ("axis", lambda: layers.Softmax(axis=1)),
    ("activation", lambda: layers.Activation("gelu")),
    ("known", lambda: layers.LayerNormalization()),
    ("reshapes", lambda: layers.Reshape((6, 7, 4))),
    ("slope", lambda: layers.ELU(alpha=0.5)),
    ("scales", lambda: layers.Rescaling([1.0, 2.0, 3.0, 4.0])),
]


@pytest.mark.parametrize("reason, make", OTHERS)
def test_obstacle(reason, make):
    model = keras.Sequential([keras.Input(IMAGE), make()])
    (call,) = graphs.trace(model).calls
    found = lowering.obstacle(call)
    assert reason in found or "bfloat16" in found


def test_obstacle_of_a_size_that_varies():
    model = keras.Sequential([keras.Input((None, 4)), layers.Dense(3)])
    (call,) = graphs.trace(model).calls
    assert "fixed size" in lowering.obstacle(call)


def test_obstacle_of_training():
    inputs = keras.Input(IMAGE)
    outputs = layers.BatchNormalization()(inputs, training=True)
    (call,) = graphs.trace(keras.Model(inputs, outputs)).calls
    assert "training" in lowering.obstacle(call)
