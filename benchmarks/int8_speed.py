"""Networks in int8, blocks of four input channels, against LiteRT in int8.

The kernels but the first and the last are sparse, of random weights. Both read
their files from disk, take floats, quantize them and return floats inside of
the time. The files are written by one process, and timed by another, which
does not load TensorFlow:

    python -m benchmarks.int8_speed --folder=DIR --write
    python -m benchmarks.int8_speed --folder=DIR
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pathlib  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402

import numpy as np  # noqa: E402
from absl import app  # noqa: E402
from absl import flags  # noqa: E402

FOLDER = flags.DEFINE_string("folder", None, "Of the files.", required=True)
WRITE = flags.DEFINE_bool("write", False, "Write the files.")
NETWORKS = flags.DEFINE_list(
    "networks", ["wide_resnet_28_2", "mlp_1024"], "Names, or all in the folder."
)
SPARSITIES = flags.DEFINE_list("sparsities", ["0.9", "0.95", "0.98"], "Rows.")
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["1", "16", "128"], "Columns.")
THREADS = flags.DEFINE_integer("threads", 1, "Of both.")
TURNS = flags.DEFINE_integer("turns", 15, "Interleaved.")
SECONDS = flags.DEFINE_float("seconds", 0.02, "Of a turn, at least one call.")


def built(name):
    """Build a dense network."""
    import keras

    import cb

    if name == "mlp_1024":
        model = keras.Sequential([keras.Input((1024,))])
        for _ in range(3):
            model.add(keras.layers.Dense(1024, "relu"))
        return model
    if name == "mobilenet":
        return keras.applications.MobileNetV2(
            weights=None, input_shape=(96, 96, 3), classes=10
        )
    spec = {
        "wide_resnet_28_2": "wide_resnet(depth=28, width=2)",
        "wide_resnet_16_4": "wide_resnet(depth=16, width=4)",
        "resnet18": "resnet18",
    }[name]
    return cb.models.build(spec, (32, 32, 3), 10)


def write(name, sparsity):
    """Write the files of a network: of the engine, and LiteRT's two."""
    import tensorflow as tf

    import cb

    ends = {"first_dense": True, "last_dense": True}
    if name == "mlp_1024":
        ends = {}
    elif name == "mobilenet":
        ends["exclude"] = "depthwise"
    model = cb.sparsify(
        built(name),
        float(sparsity),
        "uniform",
        granularity="block(rows=4, columns=1)",
        **ends,
    )
    model = cb.strip(model)
    random = np.random.default_rng(0)
    images = random.normal(size=(32, *model.input_shape[1:])).astype("float32")
    folder = pathlib.Path(FOLDER.value, f"{name}-{sparsity}")
    cb.export.quantize(model, images).save(str(folder))
    default = tf.lite.Optimize.DEFAULT
    for kind, options in {
        "dense": [default],
        "sparse": [default, tf.lite.Optimize.EXPERIMENTAL_SPARSITY],
    }.items():
        model.export(
            str(folder / f"{kind}.tflite"),
            format="litert",
            verbose=False,
            optimizations=options,
            representative_dataset=lambda: ([x[None]] for x in images),
        )


class Lite:
    """A LiteRT file as a function.

    Args:
        path: Path.
        examples: Integer, the size of the batch.
    """

    def __init__(self, path, examples):
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(
            model_path=str(path), num_threads=THREADS.value
        )
        (source,) = self._interpreter.get_input_details()
        shape = (examples, *source["shape"][1:])
        self._interpreter.resize_tensor_input(source["index"], shape)
        self._interpreter.allocate_tensors()
        (result,) = self._interpreter.get_output_details()
        self._source, self._result = source["index"], result["index"]
        self.shape = shape

    def __call__(self, x):
        self._interpreter.set_tensor(self._source, x)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._result)


def taken(function, x):
    """Call a function for a turn; return the seconds of a call."""
    calls, start = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() - start < SECONDS.value:
        function(x)
        calls += 1
    return (time.perf_counter() - start) / calls


def times(folder, examples):
    """Return median and least milliseconds of all by name."""
    from cb.export import load

    ways = {"LiteRT dense": Lite(folder / "dense.tflite", examples)}
    try:
        ways["LiteRT sparse"] = Lite(folder / "sparse.tflite", examples)
    except RuntimeError as error:
        print(f"{folder.name}: no sparse file: {' '.join(str(error).split())}")
    shape = ways["LiteRT dense"].shape
    ways["engine"] = load(str(folder), batch_sizes=[examples])
    if ways["engine"].arithmetic != "int8":
        raise SystemExit("There is no int8 on this processor.")
    x = np.random.default_rng(1).normal(size=shape).astype("float32")
    found = {name: [] for name in ways}
    for turn in range(TURNS.value + 1):
        for name, function in ways.items():
            seconds = taken(function, x)
            if turn:
                found[name].append(1000 * seconds)
    return {
        name: (statistics.median(one), min(one)) for name, one in found.items()
    }


def main(_):
    """Write files, or print the table."""
    names = [(n, s) for n in NETWORKS.value for s in SPARSITIES.value]
    if WRITE.value:
        for name, sparsity in names:
            write(name, sparsity)
        return
    from cb.kernels import threads

    # One thread is the caller alone, whatever TensorFlow would take.
    threads.threads.cache_clear()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: THREADS.value])
    print(
        "| network | sparsity | batch | LiteRT int8, ms | engine, ms | times |"
    )
    print("|---|---|---|---|---|---|")
    for name, sparsity in names:
        folder = pathlib.Path(FOLDER.value, f"{name}-{sparsity}")
        for examples in map(int, BATCH_SIZES.value):
            found = times(folder, examples)
            ours = found.pop("engine")
            lite = min(found.values())
            ratios = [a / b for a, b in zip(lite, ours, strict=True)]
            print(
                f"| {name} | {sparsity} | {examples} | {lite[0]:.3f} | "
                f"{ours[0]:.3f} | {ratios[0]:.2f} (least {ratios[1]:.2f}) |",
                flush=True,
            )


if __name__ == "__main__":
    app.run(main)
