"""Latency of a dense SavedModel against every export of the model.

Everything that is compared takes turns in one process, some calls at a time,
so that each is as warm as where it is alone. `graph` is the sparse SavedModel
in plain TensorFlow, `load` what `cb.export.load` makes of it.

    python -m benchmarks.export --network=mlp_1024 --sparsities=0.9,0.95,0.98
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import random  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import scipy.sparse  # noqa: E402
import tensorflow as tf  # noqa: E402
from absl import app  # noqa: E402
from absl import flags  # noqa: E402

import cb  # noqa: E402
from cb.costs.files import file_bytes  # noqa: E402
from cb.evaluation.opened_run import OpenedRun  # noqa: E402
from cb.export.checking import SIGNATURE  # noqa: E402
from cb.export.checking import inputs_for  # noqa: E402
from cb.layers.masked import masked_kernels  # noqa: E402

NETWORK = flags.DEFINE_string(
    "network",
    "mlp_1024",
    "mlp_WIDTH (three layers), mobilenet, wide_resnet, or the folder of a run.",
)
SPARSITIES = flags.DEFINE_list(
    "sparsities", ["0.9"], "Of networks that are not trained."
)
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["1", "16", "128"], "Examples.")
CALLS = flags.DEFINE_integer(
    "calls", 10, "In a turn. With 1, the others have emptied the caches."
)
SECONDS = flags.DEFINE_float("seconds", 2.0, "For each batch size, in all.")


def wide(width):
    """Build three layers of one width, and nothing else."""
    model = keras.Sequential([keras.Input((width,))])
    for _ in range(3):
        model.add(keras.layers.Dense(width, "relu"))
    return model


def networks():
    """Build what the flags name; yield sparsities and sparse networks."""
    if os.path.isdir(NETWORK.value):
        model = trained(NETWORK.value)
        masks = [np.array(kernel.mask) for kernel in masked_kernels(model)]
        active = sum(map(np.count_nonzero, masks))
        yield f"{1 - active / sum(mask.size for mask in masks):.2f}", model
        return
    for sparsity in SPARSITIES.value:
        yield sparsity, network(NETWORK.value, float(sparsity))


def network(name, sparsity):
    """Build a network that was not trained."""
    if name.startswith("mlp_"):
        return cb.sparsify(wide(int(name[4:])), sparsity, "uniform")
    if name == "mobilenet":
        dense = keras.applications.MobileNetV2(
            weights=None, input_shape=(96, 96, 3), classes=10
        )
    else:
        dense = cb.models.build(
            "wide_resnet(depth=16, width=2)", (32, 32, 3), 10
        )
    return cb.sparsify(dense, sparsity)


def trained(folder):
    """Read the network of a run as it was at the end."""
    run = OpenedRun(folder, strategy="none")
    run.load("last")
    return run.model


def exports(model, folder, batch_sizes):
    """Write every form; return name to a function of numpy arrays."""
    functions, sizes = {}, {}
    for form in ("dense", "compact", "sparse"):
        path = os.path.join(folder, form)
        cb.export.save(model, path, form, batch_sizes)
        saved = tf.saved_model.load(path)
        signature = saved.signatures[SIGNATURE]
        (name,) = signature.structured_input_signature[1]

        def function(x, signature=signature, name=name, saved=saved):
            del saved
            (y,) = signature(**{name: tf.constant(x)}).values()
            return y.numpy()

        label = "graph" if form == "sparse" else form
        functions[label], sizes[label] = function, file_bytes(path)
    functions["load"] = cb.export.load(path, batch_sizes)
    sizes["load"] = sizes["graph"]
    return functions, sizes, signature


def outside(model):
    """Return the same layers by other libraries, if they are only `Dense`."""
    layers = cb.strip(model).layers
    if not all(type(layer) is keras.layers.Dense for layer in layers):
        return {}
    matrices = [
        scipy.sparse.csr_array(np.array(layer.kernel).T) for layer in layers
    ]
    biases = [np.array(layer.bias)[:, None] for layer in layers]

    def by_scipy(x):
        y = np.ascontiguousarray(x.T)
        for matrix, bias in zip(matrices, biases, strict=True):
            y = np.maximum(matrix @ y + bias, 0)
        return y.T

    functions = {"scipy": by_scipy}
    try:
        import torch
    except ImportError:
        return functions
    kernels = [
        torch.sparse_csr_tensor(m.indptr, m.indices, m.data, m.shape)
        for m in matrices
    ]
    shifts = [torch.tensor(bias) for bias in biases]

    def by_torch(x):
        with torch.no_grad():
            y = torch.tensor(x.T)
            for kernel, bias in zip(kernels, shifts, strict=True):
                y = torch.relu(kernel @ y + bias)
        return y.numpy().T

    return {**functions, "torch": by_torch}


def seconds(function, x):
    """Return how long a call takes."""
    start = time.perf_counter()
    function(x)
    return time.perf_counter() - start


def race(functions, x):
    """Let functions take turns; return the seconds of calls, turn by turn."""
    times = {name: [] for name in functions}
    for function in functions.values():
        function(x)
        function(x)
    end = time.perf_counter() + SECONDS.value
    turn = range(CALLS.value)
    while time.perf_counter() < end or len(times["dense"]) < 5:
        # In another order every time: threads of one still spin in the next.
        for name in random.sample(sorted(functions), len(functions)):
            function = functions[name]
            times[name].append([seconds(function, x) for _ in turn])
    return times


def compared(name, times):
    """Return the milliseconds of a call, and times as fast as dense."""
    text = f"{1e3 * np.median(times[name]):.3f}"
    if name == "dense":
        return text
    ratios = np.mean(times["dense"], 1) / np.mean(times[name], 1)
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return f"{text}, {middle:.2f} ({low:.2f} to {high:.2f})"


def row(cells):
    """Print a row of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def main(arguments):
    """Measure what the flags name."""
    del arguments
    batch_sizes = [int(size) for size in BATCH_SIZES.value]
    lines = []
    for sparsity, model in networks():
        with tempfile.TemporaryDirectory() as folder:
            functions, sizes, signature = exports(model, folder, batch_sizes)
            functions |= outside(model)
        if not lines:
            row(["sparsity", "batch", *functions, "`load` runs"])
            row(["---"] * (len(functions) + 3))
        for size in batch_sizes:
            (x,) = inputs_for(signature, size).values()
            times = race(functions, x.numpy())
            kernels = functions["load"].kernels[size]
            if isinstance(kernels, dict):
                kernels = ", ".join(sorted({*kernels.values()}))
            cells = [compared(name, times) for name in functions]
            row([sparsity, size, *cells, kernels])
        found = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
        lines.append(f"Bytes at {sparsity}: {found}.")
    print("", *lines, sep="\n")


if __name__ == "__main__":
    app.run(main)
