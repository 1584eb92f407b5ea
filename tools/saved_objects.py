"""Saves and loads the objects that the project registers with Keras.

python FILE save FOLDER: writes a `.keras` file for every object that the
importable project registers under `cb>`, each in a small model.

python FILE load FOLDER TARGET: loads them in another process and writes the
configuration, variables and outputs of each model, before and after two more
steps of training, and the
configuration of each object that is in no model.

Only `cb` is imported by name, so that it runs with other layouts of the
modules.
"""

import importlib
import json
import pathlib
import pkgutil
import sys

import keras
import numpy as np

import cb

PREFIX = "cb>"
IMAGE = (6, 6, 2)
SEQUENCE = (5, 3)
# Class name: arguments and the shape of an input, without the batch.
LAYERS = {
    "GhostBatchNormalization": ({"virtual_batch_size": 2}, (5,)),
    "MaskedConv1D": ({"filters": 5, "kernel_size": 3}, (6, 2)),
    "MaskedConv1DTranspose": ({"filters": 4, "kernel_size": 3}, (4, 2)),
    "MaskedConv2D": ({"filters": 4, "kernel_size": 3}, IMAGE),
    "MaskedConv2DTranspose": (
        {"filters": 4, "kernel_size": 3, "strides": 2},
        (4, 4, 2),
    ),
    "MaskedConv3D": ({"filters": 3, "kernel_size": 2}, (4, 4, 4, 2)),
    "MaskedConv3DTranspose": ({"filters": 3, "kernel_size": 2}, (2, 2, 2, 2)),
    "MaskedConvLSTM1D": ({"filters": 2, "kernel_size": 2}, (3, 4, 2)),
    "MaskedConvLSTM2D": ({"filters": 2, "kernel_size": 2}, (3, 4, 4, 2)),
    "MaskedConvLSTM3D": ({"filters": 2, "kernel_size": 2}, (2, 3, 3, 3, 2)),
    "MaskedDense": (
        {"units": 6, "granularity": "block(rows=2, columns=2)"},
        (4,),
    ),
    "MaskedDepthwiseConv1D": ({"kernel_size": 3}, (6, 2)),
    "MaskedDepthwiseConv2D": ({"kernel_size": 3}, IMAGE),
    "MaskedEinsumDense": (
        {"equation": "abc,cd->abd", "output_shape": (3, 5)},
        (3, 4),
    ),
    "MaskedEmbedding": ({"input_dim": 7, "output_dim": 4}, (5,)),
    "MaskedGRU": ({"units": 4}, SEQUENCE),
    "MaskedGroupQueryAttention": (
        {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
        SEQUENCE,
    ),
    "MaskedLSTM": ({"units": 4, "return_sequences": True}, SEQUENCE),
    "MaskedMultiHeadAttention": ({"num_heads": 2, "key_dim": 3}, SEQUENCE),
    "MaskedReversibleEmbedding": ({"input_dim": 7, "output_dim": 4}, (5,)),
    "MaskedSeparableConv1D": ({"filters": 5, "kernel_size": 3}, (6, 2)),
    "MaskedSeparableConv2D": ({"filters": 5, "kernel_size": 3}, IMAGE),
    "MaskedSimpleRNN": ({"units": 4}, SEQUENCE),
    "NodeFilters": ({"kernel_size": 3}, IMAGE),
    "OwnVariable": ({"shape": (4, 3)}, (4,)),
    "SReLU": ({}, (4,)),
    "Sized": ({"shape": (4, 2, 2)}, (4,)),
    "SparseConv1D": (
        {"filters": 5, "kernel_size": 1, "connections": 7},
        (6, 4),
    ),
    "SparseConv2D": (
        {"filters": 5, "kernel_size": 1, "connections": 7},
        (6, 6, 4),
    ),
    "SparseConv3D": (
        {"filters": 5, "kernel_size": 1, "connections": 7},
        (2, 3, 3, 4),
    ),
    "SparseDense": ({"units": 5, "connections": 7}, (4,)),
    "SparseEinsumDense": (
        {"equation": "ab,bc->ac", "output_shape": 5, "connections": 7},
        (4,),
    ),
    "TiedConv2D": (
        {"filters": 4, "kernel_size": 3, "sparsity": 0.5},
        IMAGE,
    ),
    "TiedDense": ({"units": 5, "sparsity": 0.5}, (4,)),
    "WithMask": ({}, (4,)),
}
# Called with two tensors.
TWICE = {"MaskedGroupQueryAttention", "MaskedMultiHeadAttention", "Sized"}
# Class name: arguments; schedules wrap one of Keras's.
SCHEDULES = {
    "Later": {"start": 3},
    "PerUpdate": {"batches": 2},
    "Warmup": {"steps": 4, "initial": 0.01},
}
OPTIMIZERS = {
    "Lookahead": {"optimizer": "adam", "sync_period": 2},
    "PublishedSGD": {"weight_decay": 1e-3, "exclude_from_decay": ["bias"]},
    "RAdam": {"weight_decay": 1e-3},
    "Succession": {"starts": [0, 2]},
}
METRICS = {
    "BundleEntropy": {
        "num_classes": 3,
        "num_samples": 8,
        "learning_rate": 0.1,
        "batch_size": 4,
        "amplitude": 1.0,
    },
}
EXAMPLES, STEPS = 4, 2


def main(arguments):
    """Save or load.

    Args:
        arguments: List of strings, the command line.
    """
    registered = objects()
    if arguments[0] == "save":
        save(registered, pathlib.Path(arguments[1]))
    else:
        load(*map(pathlib.Path, arguments[1:]))


def objects():
    """Return what is registered once all modules are imported, by name.

    Not `MasksInside`, which is nothing without a class of the user's own.
    """
    for found in pkgutil.walk_packages(cb.__path__, "cb."):
        if found.name.rpartition(".")[2] != "__main__":
            importlib.import_module(found.name)
    return {
        name.removeprefix(PREFIX): found
        for name, found in keras.saving.get_custom_objects().items()
        # Users may register classes of their own under the same prefix.
        if name.startswith(PREFIX)
        and found.__module__.startswith("cb.")
        and name != f"{PREFIX}MasksInside"
    }


def save(registered, folder):
    """Write a model for each object, and a list of those without one."""
    folder.mkdir(exist_ok=True)
    alone = {}
    for name, found in sorted(registered.items()):
        keras.utils.set_random_seed(0)
        if name in METRICS:
            made = found(**METRICS[name])
            alone[name] = keras.saving.serialize_keras_object(made)
            continue
        model = model_of(name, found)
        fill(model)
        inputs, targets = data(model)
        model.fit(inputs, targets, batch_size=EXAMPLES, epochs=STEPS, verbose=0)
        model.save(folder / f"{name}.keras")
    (folder / "alone.json").write_text(json.dumps(alone))


def model_of(name, found):
    """Build a compiled model with an object in it.

    Raises:
        SystemExit: If this file does not know the object.
    """
    layer, optimizer, shape = keras.layers.Dense(3), "adam", (4,)
    loss = "mse"
    if name in SCHEDULES:
        rate = keras.optimizers.schedules.CosineDecay(0.1, 10)
        schedule = found(rate, **SCHEDULES[name])
        optimizer = keras.optimizers.SGD(schedule, momentum=0.9)
    elif name in OPTIMIZERS:
        arguments = dict(OPTIMIZERS[name])
        if name == "Succession":
            arguments["optimizers"] = [
                keras.optimizers.SGD(0.1, momentum=0.9),
                keras.optimizers.Adam(0.01),
            ]
        optimizer = found(**arguments)
    elif issubclass(found, keras.losses.Loss):
        loss = found(loss, 2)
    else:
        layer, shape = layer_of(name, found)
    inputs = keras.Input(shape, batch_size=EXAMPLES)
    outputs = layer(*[inputs] * (1 + (name in TWICE)))
    model = keras.Model(inputs, outputs)
    model.compile(optimizer, loss)
    return model


def layer_of(name, found):
    """Return a layer with an object in it and the shape of its input."""
    if name in LAYERS:
        arguments, shape = LAYERS[name]
        return found(**arguments), shape
    if name == "MaskedConvLSTMCell":
        # Never without its layer, which makes it.
        return cb.layers.MaskedConvLSTM1D(2, 2), (3, 4, 2)
    if name.endswith("Cell"):
        return keras.layers.RNN(found(4)), SEQUENCE
    if name == "MaskedRNN":
        return found(keras.layers.GRUCell(4)), SEQUENCE
    if name == "NeuralODE":
        return found([keras.layers.Dense(3)]), (3,)
    if issubclass(found, keras.regularizers.Regularizer):
        return keras.layers.Dense(3, kernel_regularizer=found(0.1)), (4,)
    sys.exit(f"no arguments are known of {name}; add them to {__file__}")


def fill(model):
    """Give half of the mask entries, drawn at random, the value zero."""
    random = np.random.default_rng(0)
    for variable in model.variables:
        if variable.path.rpartition("/")[2].endswith("mask"):
            variable.assign(random.random(variable.shape) < 0.5)


def data(model):
    """Return inputs and targets, the same for every process."""
    random = np.random.default_rng(1)
    inputs = random.normal(size=model.input_shape).astype("float32")
    if "Embedding" in type(model.layers[-1]).__name__:
        inputs = np.abs(inputs)
    shape = model.output_shape
    return inputs, random.normal(size=shape).astype("float32")


def load(folder, target):
    """Load every model and write its configuration and outputs."""
    target.mkdir(exist_ok=True)
    for file in sorted(folder.glob("*.keras")):
        keras.utils.set_random_seed(0)
        model = keras.models.load_model(file)
        config = without_modules(model.get_config())
        optimizer = without_modules(
            keras.saving.serialize_keras_object(model.optimizer)
        )
        write(target / f"{file.stem}.json", [config, optimizer])
        arrays = state(model, "loaded")
        inputs, targets = data(model)
        model.fit(inputs, targets, batch_size=EXAMPLES, epochs=STEPS, verbose=0)
        arrays |= state(model, "trained")
        np.savez(target / f"{file.stem}.npz", **arrays)
    alone = json.loads((folder / "alone.json").read_text())
    for name, config in alone.items():
        found = keras.saving.deserialize_keras_object(config)
        config = keras.saving.serialize_keras_object(found)
        write(target / f"{name}.json", without_modules(config))


def state(model, when):
    """Return the outputs of a model and its variables by their place."""
    inputs, _ = data(model)
    found = {f"{when}/outputs": np.asarray(model(inputs))}
    for kind, owner in (("model", model), ("optimizer", model.optimizer)):
        for number, variable in enumerate(owner.variables):
            found[f"{when}/{kind}/{number}"] = np.asarray(variable)
    return found


def without_modules(config):
    """Leave out the modules of the project's classes, which may change."""
    if isinstance(config, dict):
        return {
            key: without_modules(value)
            for key, value in config.items()
            if key != "module" or not str(value).startswith("cb")
        }
    if isinstance(config, list | tuple):
        return [without_modules(value) for value in config]
    return config


def write(file, config):
    """Write a configuration; values that JSON cannot hold become text."""
    file.write_text(json.dumps(config, indent=1, sort_keys=True, default=str))


if __name__ == "__main__":
    main(sys.argv[1:])
