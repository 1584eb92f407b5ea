"""Speed of image augmentation, and the time that training waits for it.

The first table counts images in a second on one core, batches of 100 of the
size of CIFAR-10. The second trains WRN-28-2 on such images and reads from
TensorFlow's profiler which part of the time a step waits for its batch.

    python -m benchmarks.input_pipeline --steps=20
"""

import os
import pathlib
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from absl import app
from absl import flags
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from cb.config import Config
from cb.datasets import preparation
from cb.datasets.dataset_splits import DatasetSplits
from cb.datasets.dataset_splits import Examples
from cb.datasets.pipeline import TrainingBatches
from cb.errors import guarded
from cb.training import assembly

STEPS = flags.DEFINE_integer("steps", 20, "Training steps to profile.")
BATCHES = flags.DEFINE_integer("batches", 300, "Batches for the throughput.")
BATCH, EXAMPLES = 100, 50_000
CHAINS = (
    "none",
    "flip",
    "pad_crop(4)",
    "pad_crop(4)|flip",
    preparation.CIFAR["dynamic_sparse"].published,
    preparation.CIFAR["big_batch"].published,
    preparation.CIFAR["autosparse"].published,
    preparation.CIFAR["bundles"].published,
    preparation.CIFAR["bundles"].corrected,
    "random_resized_crop(32)|flip",
)
WAITING = "IteratorGetNextOp::DoCompute"


def examples():
    """Return random images of the size and number of CIFAR-10."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (EXAMPLES, 32, 32, 3), np.uint8)
    return Examples(images, random.integers(0, 10, EXAMPLES, np.int32))


def throughput(found, chain):
    """Return images in a second on one core."""
    batches = TrainingBatches(found, BATCH, 0, chain, workers=1)
    dataset = batches.dataset(0, BATCHES.value + 20).skip(20)
    iterator = iter(dataset)
    next(iterator)
    start = time.process_time()
    for _ in iterator:
        pass
    return (BATCHES.value - 1) * BATCH / (time.process_time() - start)


def waiting(found):
    """Return seconds of all steps, and seconds that they waited for input."""
    config = Config(
        model="wide_resnet(depth=28, width=2)", batch_size=BATCH, sparsity=0.9
    )
    source = DatasetSplits(
        "cifar10", found, found, 10, preparations=preparation.CIFAR
    )
    model = assembly.build_model(config, source)
    model.compile(
        "sgd", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    chain = preparation.CIFAR["dynamic_sparse"].published
    batches = TrainingBatches(found, BATCH, 0, chain)
    steps = STEPS.value
    model.fit(batches.dataset(0, 3), shuffle=False, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        start = time.perf_counter()
        model.fit(batches.dataset(3, 3 + steps), shuffle=False, verbose=0)
        seconds = time.perf_counter() - start
        tf.profiler.experimental.stop()
        return seconds, waited(pathlib.Path(folder))


def waited(folder):
    """Return the seconds of the profile in which a step waited."""
    (file,) = folder.rglob("*.xplane.pb")
    space = xplane_pb2.XSpace.FromString(file.read_bytes())
    return (
        sum(
            event.duration_ps
            for plane in space.planes
            for line in plane.lines
            for event in line.events
            if plane.event_metadata[event.metadata_id].name == WAITING
        )
        / 1e12
    )


def main(_):
    """Print both tables."""
    found = examples()
    print("| augmentation | images/s on one core |")
    print("|---|---|")
    for chain in CHAINS:
        speed = throughput(found, chain)
        print(
            f"| `{chain.replace('|', ' then ')}` | {speed:,.0f} |", flush=True
        )
    seconds, idle = waiting(found)
    print()
    print("| WRN-28-2, batch 100 | seconds |")
    print("|---|---|")
    print(f"| {STEPS.value} steps | {seconds:.2f} |")
    print(f"| of these waiting for input | {idle:.3f} |")
    print(f"| part | {100 * idle / seconds:.2f} % |")


if __name__ == "__main__":
    guarded(lambda: app.run(main))
