"""Updates in fewer operations leave the bits that Keras's own leave."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from cb.distribute.variables import read_replicas
from cb.layers.attributes import overridden
from cb.optimization import optimizers
from cb.optimization.fused_updates import RULES
from cb.optimization.fused_updates import update_steps
from cb.optimization.sequence import OptimizerSequence

STEPS = 200
# One for each rule in the code, and one to be cut into parts by threads.
SHAPES = [(7, 5), (3,), (), (200, 130)]
SGD, ADAM = keras.optimizers.SGD, keras.optimizers.Adam
DECAY = keras.optimizers.schedules.CosineDecay(0.3, 150)
VARIANTS = {
    "sgd": lambda: SGD(0.1),
    "schedule": lambda: SGD(DECAY, momentum=0.9),
    "momentum": lambda: SGD(0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda: SGD(0.1, momentum=0.95, nesterov=True),
    "clipped": lambda: SGD(0.1, momentum=0.9, global_clipnorm=1.0),
    "accumulated": lambda: SGD(
        0.1, momentum=0.9, gradient_accumulation_steps=3
    ),
    "averaged": lambda: SGD(
        0.1, momentum=0.9, use_ema=True, ema_overwrite_frequency=7
    ),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(
        SGD(0.1, momentum=0.9), initial_scale=4.0
    ),
    "adam": lambda: ADAM(DECAY),
    "amsgrad": lambda: ADAM(0.01, beta_1=0.8, epsilon=1e-3, amsgrad=True),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "lookahead": lambda: optimizers.build("lookahead('adam')"),
    "sequence": lambda: OptimizerSequence([ADAM(0.01), SGD(0.1)], [0, 10**6]),
}


# A product with a number may be computed in another order.
SCALED = ("accumulated", "clipped", "scaled")


@functools.cache
def gradients():
    """Return gradients of all sizes, with zeros of both signs."""
    random = np.random.default_rng(0)
    made = []
    for shape in SHAPES:
        size = random.choice([0.0, 1e-30, 1e-6, 1.0, 30.0], (STEPS, *shape))
        made.append(np.float32(random.normal(size=size.shape) * size))
    return made


def trained(make, fuse, scope=None):
    """Return the bits of all variables after training, and the operations."""
    strategy = scope or tf.distribute.get_strategy()
    with strategy.scope():
        random = np.random.default_rng(1)
        variables = [
            keras.Variable(np.float32(random.normal(size=shape)))
            for shape in SHAPES
        ]
        optimizer = make()
        optimizer.build(variables)

    @tf.function(autograph=False)
    def step(given):
        # Each replica has gradients of its own.
        strategy.run(lambda: optimizer.apply([*map(tf.negative, given)]))

    steps = [*update_steps(optimizer)] if fuse else []
    with overridden("update_step", steps):
        for given in zip(*gradients(), strict=True):
            step([tf.constant(one) for one in given])
    values = read_replicas([*variables, *optimizer.variables])
    graph = step.get_concrete_function([tf.constant(g[0]) for g in gradients()])
    nodes = [node.op for node in graph.graph.as_graph_def().node]
    nodes += [
        node.op
        for function in graph.graph.as_graph_def().library.function
        for node in function.node_def
    ]
    return [[one.tobytes() for one in value] for value in values], nodes


@pytest.mark.parametrize("name", VARIANTS)
def test_the_bits_are_those_of_keras(name):
    usual, nodes = trained(VARIANTS[name], False)
    fused, others = trained(VARIANTS[name], True)
    assert fused == usual
    assert not any(node.startswith("ResourceApply") for node in nodes)
    found = any(node.startswith("ResourceApply") for node in others)
    assert found == (name not in SCALED)


@pytest.mark.parametrize("name", ["nesterov", "amsgrad"])
def test_so_they_are_on_two_replicas(name, two_replicas):
    usual, _ = trained(VARIANTS[name], False, two_replicas)
    fused, nodes = trained(VARIANTS[name], True, two_replicas)
    assert fused == usual
    assert any(node.startswith("ResourceApply") for node in nodes)


def test_other_optimizers_and_classes_of_others_keep_their_update():
    class Other(SGD):
        """Somebody's own."""

    for make in (Other, keras.optimizers.RMSprop, keras.optimizers.Nadam):
        assert not [*update_steps(make())]
    assert {found for one in VARIANTS.values() for found in parts(one())} == {
        *RULES
    }


def parts(optimizer):
    return [type(one) for one, _ in update_steps(optimizer)]


@pytest.mark.parametrize("kind", ["float16", "rows"])
def test_other_weights_and_gradients_keep_the_update_of_keras(kind):
    dtype = "float16" if kind == "float16" else "float32"
    found = []
    for fuse in (False, True):
        variable = keras.Variable(np.ones((4, 3)), dtype=dtype)
        optimizer = ADAM(0.1)
        optimizer.build([variable])
        gradient = tf.ones((4, 3), dtype)
        if kind == "rows":
            gradient = tf.IndexedSlices(tf.ones((2, 3)), [0, 2], (4, 3))
        steps = [*update_steps(optimizer)] if fuse else []
        with overridden("update_step", steps):
            for _ in range(3):
                optimizer.apply([gradient])
        found.append(variable.numpy().tobytes())
    assert found[0] == found[1]
