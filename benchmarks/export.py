"""Speed of every form of a sparse network, against what else a user has.

In three steps, since only the second needs a quiet machine. Each names the
network, and the last writes the page from the rows that were kept:

    python -m benchmarks.export write --network=mlp_1024
    python -m benchmarks.export time --network=mlp_1024 --threads=1
    python -m benchmarks.export page

Of every form that `cb.export.save` knows here, and of dense LiteRT files of the
very same network, which are what sparse ones must beat. Weights are random, or
those of a run, whose accuracy is then measured for every form:

    python -m benchmarks.export write --network=wrn_28_2 --run=runs/NAME
    python -m benchmarks.export time --network=wrn_28_2 --run=runs/NAME
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Before anything counts the processors. All libraries take what they may.
for argument in sys.argv:
    if argument.startswith("--threads="):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[: int(argument.split("=")[1])])

import datetime  # noqa: E402
import functools  # noqa: E402
import json  # noqa: E402
import pathlib  # noqa: E402
import shutil  # noqa: E402
import statistics  # noqa: E402
import tempfile  # noqa: E402
import warnings  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
from absl import app  # noqa: E402
from absl import flags  # noqa: E402

import cb  # noqa: E402
from benchmarks import export_page  # noqa: E402
from benchmarks import networks  # noqa: E402
from benchmarks import tables  # noqa: E402
from cb.costs.files import file_bytes  # noqa: E402
from cb.errors import InputError  # noqa: E402
from cb.errors import RunError  # noqa: E402
from cb.errors import guarded  # noqa: E402
from cb.evaluation.export import accuracy  # noqa: E402
from cb.evaluation.export import calibration  # noqa: E402
from cb.evaluation.opened_run import OpenedRun  # noqa: E402
from cb.export.forms import FORMS  # noqa: E402
from cb.export.forms import Source  # noqa: E402
from cb.export.forms import ways  # noqa: E402
from cb.export.lite import lite_content  # noqa: E402
from cb.export.measurement import take_turns  # noqa: E402
from cb.export.runtimes import LITE  # noqa: E402

NETWORK = flags.DEFINE_string("network", "mlp_1024", "One of `NETWORKS`.")
RUN = flags.DEFINE_string("run", None, "Run with this network, trained.")
SPARSITY = flags.DEFINE_float("sparsity", 0.9, "Of all kernels but the ends.")
GRANULARITY = flags.DEFINE_string("granularity", "weight", "Of the masks.")
THREADS = flags.DEFINE_integer("threads", None, "Processors; all by default.")
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["1", "16", "128"], "Examples.")
SECONDS = flags.DEFINE_float("seconds", 1.0, "For each form and batch size.")
WANTED = flags.DEFINE_list("forms", None, "To write and time; all by default.")
FOLDER = flags.DEFINE_string(
    "folder", os.path.join(tempfile.gettempdir(), "exports"), "Of the exports."
)
FILE = export_page.FILE
KEYS = export_page.KEYS
COLUMNS = (
    "row",
    *KEYS,
    *("runtime", "bytes", "ideal", "accuracy", "median_ms", "least_ms"),
    *("turns", "date", "machine"),
)
# Files of the same network that keep the zeros.
DENSE_LITE = {"lite, dense": None, "lite_int8, dense": "int8"}
# Bytes of a weight, where they are not four.
ROUNDED = {"lite_float16": 2, "lite_int8": 1, "engine_int8": 1}
# What is known of exports, beside them.
ABOUT = "about.json"


def wide(width=1024):
    """Build three layers of one width, and nothing else."""
    model = keras.Sequential([keras.Input((width,))])
    for _ in range(3):
        model.add(keras.layers.Dense(width, "relu"))
    return model


NETWORKS = {
    "mlp_1024": wide,
    "wrn_28_2": functools.partial(networks.wide_resnet, keras, 28, 2),
    "wrn_16_4": functools.partial(networks.wide_resnet, keras, 16, 4),
    "resnet18": functools.partial(networks.resnet18, keras),
    # The one for large images: of 32x32 its last stage sees one position.
    "resnet18_7x7": lambda: cb.models.build("resnet18", (32, 32, 3), 10),
    "mobilenet": lambda: keras.applications.MobileNet(
        (96, 96, 3), weights=None, classes=10
    ),
    "mobilenet_v2": lambda: keras.applications.MobileNetV2(
        (96, 96, 3), weights=None, classes=10
    ),
    "resnet50": lambda: keras.applications.ResNet50(weights=None),
}


def sparse_network():
    """Build the network that the flags name, not trained."""
    keras.utils.set_random_seed(0)
    inside = NETWORK.value != "mlp_1024"
    return cb.sparsify(
        NETWORKS[NETWORK.value](),
        # Depthwise kernels stay dense.
        {"Conv2D" if inside else "Dense": SPARSITY.value},
        granularity=GRANULARITY.value,
        first_dense=inside,
        last_dense=inside,
    )


def root():
    """Return the folder of the network's exports."""
    kind = GRANULARITY.value.split("(")[0]
    name = f"{NETWORK.value}_{SPARSITY.value:g}_{kind}"
    if RUN.value:
        name = f"{NETWORK.value}_of_{pathlib.Path(RUN.value).name}"
    return pathlib.Path(FOLDER.value) / name


def subject():
    """Return the network, examples of its inputs, and the keys of its rows.

    Beside them a function that scores a function of arrays, or `None`.
    """
    if not RUN.value:
        model = sparse_network()
        shape = (16, *model.input_shape[1:])
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        share = f"{SPARSITY.value:g}"
        return model, x, [NETWORK.value, share, GRANULARITY.value], None
    run = OpenedRun(RUN.value)
    run.load(run.checkpoint)
    sparse = [one for one in kernels_of(run.model) if not one.all()]
    size = sum(one.size for one in sparse) or 1
    share = 1 - sum(map(np.count_nonzero, sparse)) / size if sparse else 0
    name = f"{NETWORK.value}, trained"
    keys = [name, f"{share:.2g}", run.config.granularity]
    score = functools.partial(accuracy, run)
    return run.model, calibration(run), keys, score


def kernels_of(model):
    """List the kernels of a network, masks folded in."""
    return [
        weight.numpy()
        for weight in cb.strip(model).weights
        if weight.name.endswith("kernel")
    ]


def ideal(model, size):
    """Return the bytes of weights and indices.

    Of a kernel those of its nonzeros and of an index of one byte for each, or
    of all weights if these are fewer; and four for each output.

    Args:
        model: Keras model.
        size: Integer, bytes of a weight.
    """
    return sum(
        min(size * one.size, (size + 1) * np.count_nonzero(one))
        + 4 * one.shape[-1]
        for one in kernels_of(model)
    )


def write():
    """Write the network in every form; print what could not be."""
    model, x, keys, score = subject()
    source = Source(model, sizes(), model.inputs[0], x)
    for name in wanted():
        folder = root() / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            if name in FORMS:
                FORMS[name].write(source, str(folder))
                continue
            kind = DENSE_LITE[name]
            content = lite_content(model, kind, kind and x, sparse=False)
            (folder / LITE).write_bytes(content)
        except (InputError, RunError) as error:
            shutil.rmtree(folder)
            print(f"Not as {name}: {error}", flush=True)
    about = {
        "keys": keys,
        "shape": model.input_shape[1:],
        "ideal": {size: int(ideal(model, size)) for size in (1, 2, 4)},
        "accuracy": {
            label: score(way.predict)
            for label, way in (opened() if score else {}).items()
        },
    }
    (root() / ABOUT).write_text(json.dumps(about))


def wanted():
    """Return the names of the forms; a comma in one is a plus in the flag."""
    if WANTED.value is None:
        return [*FORMS, *DENSE_LITE]
    return [name.replace("+", ", ") for name in WANTED.value]


def sizes():
    """Return the batch sizes."""
    return [int(size) for size in BATCH_SIZES.value]


def opened():
    """Open all that was written; return label to `Way`."""
    found = {}
    for name in wanted():
        folder = root() / name
        if folder.is_dir():
            form = name.split(",")[0]
            for way in ways(form, str(folder), sizes()):
                label = name if name in DENSE_LITE else way.label
                found[label] = way
    return found


def time():
    """Time what was written, all in turns, and keep the rows."""
    about = json.loads((root() / ABOUT).read_text())
    found = opened()
    threads = len(os.sched_getaffinity(0))
    for size in sizes():
        x = np.random.default_rng(1).normal(size=(size, *about["shape"]))
        x = x.astype("float32")
        calls = {
            label: functools.partial(way.predict, x)
            for label, way in found.items()
        }
        times = take_turns(calls, SECONDS.value)
        rows = {}
        for label, taken in times.items():
            keys = (*about["keys"], str(threads), str(size), label)
            today = datetime.date.today()
            scored = about["accuracy"].get(label)
            width = str(ROUNDED.get(found[label].form, 4))
            values = (
                *("; ".join((*keys, str(today))), *keys, found[label].runtime),
                *(file_bytes(found[label].path), about["ideal"][width]),
                "" if scored is None else f"{scored:.4f}",
                f"{1e3 * statistics.median(taken):.4f}",
                f"{1e3 * min(taken):.4f}",
                *(len(taken), today, machine()),
            )
            rows[values[0]] = dict(zip(COLUMNS, values, strict=True))
            print(*values[1:], flush=True)
        # Kept at once: what follows may take too long.
        tables.write(FILE, COLUMNS, tables.read(FILE) | rows)


def machine():
    """Return the name of the processor, and which of that name it is."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    found = {}
    for line in lines:
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    family, model = found.get("cpu family"), found.get("model")
    return f"{found['model name']} (family {family}, model {model})"


def main(arguments):
    """Do the steps that are named."""
    steps = {"write": write, "time": time, "page": export_page.page}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in arguments[1:]:
            steps[name]()


if __name__ == "__main__":
    guarded(lambda: app.run(main))
