"""Speed of every form of a sparse network, against what else a user has.

In three steps, since only the second needs a quiet machine. Each names the
network, and the last writes the page from the rows that were kept:

    python -m benchmarks.export write --network=mlp_1024
    python -m benchmarks.export time --network=mlp_1024 --threads=1
    python -m benchmarks.export page

Of every form that `cb.export.save` knows here, and of dense LiteRT files of the
very same network, which are what sparse ones must beat.
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
import pathlib  # noqa: E402
import statistics  # noqa: E402
import tempfile  # noqa: E402
import warnings  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
from absl import app  # noqa: E402
from absl import flags  # noqa: E402

import cb  # noqa: E402
from benchmarks import networks  # noqa: E402
from benchmarks import tables  # noqa: E402
from cb.costs.files import file_bytes  # noqa: E402
from cb.errors import InputError  # noqa: E402
from cb.errors import RunError  # noqa: E402
from cb.export.forms import FORMS  # noqa: E402
from cb.export.forms import Source  # noqa: E402
from cb.export.forms import ways  # noqa: E402
from cb.export.lite import lite_content  # noqa: E402
from cb.export.measurement import take_turns  # noqa: E402
from cb.export.runtimes import LITE  # noqa: E402

NETWORK = flags.DEFINE_string("network", "mlp_1024", "One of `NETWORKS`.")
SPARSITY = flags.DEFINE_float("sparsity", 0.9, "Of all kernels but the ends.")
GRANULARITY = flags.DEFINE_string("granularity", "weight", "Of the masks.")
THREADS = flags.DEFINE_integer("threads", None, "Processors; all by default.")
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["1", "16", "128"], "Examples.")
SECONDS = flags.DEFINE_float("seconds", 1.0, "For each form and batch size.")
FOLDER = flags.DEFINE_string(
    "folder", os.path.join(tempfile.gettempdir(), "exports"), "Of the exports."
)
FILE = pathlib.Path(__file__).with_suffix(".csv")
KEYS = ("network", "sparsity", "granularity", "threads", "batch", "form")
COLUMNS = (
    "row",
    *KEYS,
    *("runtime", "bytes", "median_ms", "least_ms", "turns", "date", "machine"),
)
# Files of the same network that keep the zeros.
DENSE_LITE = {"lite, dense": None, "lite_int8, dense": "int8"}


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
    "resnet18": lambda: cb.models.build("resnet18", (32, 32, 3), 10),
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
        {"conv" if inside else "dense": SPARSITY.value},
        granularity=GRANULARITY.value,
        first_dense=inside,
        last_dense=inside,
    )


def root():
    """Return the folder of the network's exports."""
    kind = GRANULARITY.value.split("(")[0]
    name = f"{NETWORK.value}_{SPARSITY.value:g}_{kind}"
    return pathlib.Path(FOLDER.value) / name


def write():
    """Write the network in every form; print what could not be."""
    model = sparse_network()
    shape = model.input_shape[1:]
    x = np.random.default_rng(0).normal(size=(16, *shape)).astype("float32")
    source = Source(model, sizes(), model.inputs[0], x)
    for name, form in FORMS.items():
        folder = root() / name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            form.write(source, str(folder))
        except (InputError, RunError) as error:
            folder.rmdir()
            print(f"Not as {name}: {error}", flush=True)
    for name, quantize in DENSE_LITE.items():
        content = lite_content(model, quantize, quantize and x, sparse=False)
        folder = root() / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LITE).write_bytes(content)


def sizes():
    """Return the batch sizes."""
    return [int(size) for size in BATCH_SIZES.value]


def opened():
    """Open all that was written; return label to `Way`."""
    found = {}
    for name in (*FORMS, *DENSE_LITE):
        folder = root() / name
        if folder.is_dir():
            form = name.split(",")[0]
            for way in ways(form, str(folder), sizes()):
                label = name if name in DENSE_LITE else way.label
                found[label] = way
    return found


def time():
    """Time what was written, all in turns, and keep the rows."""
    found = opened()
    shape = NETWORKS[NETWORK.value]().input_shape[1:]
    threads = len(os.sched_getaffinity(0))
    for size in sizes():
        x = np.random.default_rng(1).normal(size=(size, *shape))
        x = x.astype("float32")
        calls = {
            label: functools.partial(way.predict, x)
            for label, way in found.items()
        }
        times = take_turns(calls, SECONDS.value)
        rows = {}
        for label, taken in times.items():
            kind = (NETWORK.value, f"{SPARSITY.value:g}", GRANULARITY.value)
            keys = (*kind, str(threads), str(size), label)
            found_bytes = file_bytes(found[label].path)
            values = (
                *("; ".join(keys), *keys, found[label].runtime, found_bytes),
                f"{1e3 * statistics.median(taken):.4f}",
                f"{1e3 * min(taken):.4f}",
                *(len(taken), datetime.date.today(), machine()),
            )
            rows[values[0]] = dict(zip(COLUMNS, values, strict=True))
            print(*values[1:], flush=True)
        # Kept at once: what follows may take too long.
        tables.write(FILE, COLUMNS, tables.read(FILE) | rows)


def machine():
    """Return the name of the processor."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    names = [line for line in lines if line.startswith("model name")]
    return names[0].split(":")[1].strip()


def usual(rows, kind):
    """Return the least milliseconds of LiteRT, of its dense or sparse file."""
    found = [row for row in rows if row["form"] in (kind, f"{kind}, dense")]
    return {
        which: min((float(row[which]) for row in found), default=None)
        for which in ("median_ms", "least_ms")
    }


def cells(rows, row):
    """Return milliseconds, and how many times as fast as LiteRT."""
    ratios = []
    for kind in ("lite", "lite_int8"):
        base = usual(rows, kind)
        ratios.append(
            " to ".join(
                sorted(
                    {
                        f"{base[which] / float(row[which]):.2f}"
                        for which in base
                        if base[which]
                    }
                )
            )
        )
    return [f"{float(row['median_ms']):.3f}", row["least_ms"], *ratios]


def page():
    """Put the tables on the page, from the rows that are kept."""
    groups = {}
    for row in tables.read(FILE).values():
        key = tuple(row[name] for name in KEYS[:5])
        groups.setdefault(key, []).append(row)
    head = ("form", "runtime", "bytes", "ms", "least ms")
    head = (*head, "times as fast as LiteRT float", "as LiteRT int8")
    lines = []
    for (network, share, kind, threads, batch), rows in groups.items():
        title = f"{network} at {share}, {kind}: batch {batch}, threads"
        lines += ["", f"### {title}: {threads}", "", line(head)]
        lines.append(line(["---"] * len(head)))
        for row in sorted(rows, key=lambda row: float(row["median_ms"])):
            size = f"{int(row['bytes']):,}"
            lines.append(
                line([row["form"], row["runtime"], size, *cells(rows, row)])
            )
    tables.renew(FILE.with_suffix(".md"), "\n".join(lines))


def line(found):
    """Return a line of a table."""
    return f"| {' | '.join(found)} |"


def main(arguments):
    """Do the steps that are named."""
    steps = {"write": write, "time": time, "page": page}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in arguments[1:]:
            steps[name]()


if __name__ == "__main__":
    app.run(main)
