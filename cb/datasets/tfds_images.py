"""Image data sets of TensorFlow Datasets that fit into memory."""

import logging
import os
import shutil

import numpy as np

from cb.datasets import REGISTRY
from cb.datasets.source import Examples
from cb.datasets.source import Source
from cb.errors import InputError

RETRIES = 3


@REGISTRY.register("mnist")
def mnist(data_dir=None) -> Source:
    """Load 70,000 handwritten digits, 28x28x1."""
    return load("mnist", data_dir)


@REGISTRY.register("fashion_mnist")
def fashion_mnist(data_dir=None) -> Source:
    """Load 70,000 pieces of clothing, 28x28x1."""
    return load("fashion_mnist", data_dir)


@REGISTRY.register("cifar10")
def cifar10(data_dir=None) -> Source:
    """Load 60,000 photographs of ten classes, 32x32x3."""
    return load("cifar10", data_dir)


@REGISTRY.register("cifar100")
def cifar100(data_dir=None) -> Source:
    """Load 60,000 photographs of a hundred classes, 32x32x3."""
    return load("cifar100", data_dir)


def load(name: str, data_dir: str | None) -> Source:
    """Load the splits `train` and `test`, downloading them if need be.

    Args:
        name: String, a TFDS name.
        data_dir: String, the folder of TFDS, or `None` for its default.

    Returns:
        A `Source` of uint8 images.

    Raises:
        InputError: If the data are neither prepared nor to be had.
    """
    import tensorflow_datasets as tfds  # It takes seconds to import.

    tfds.disable_progress_bar()
    # It warns of every folder without a data set before making one.
    logging.getLogger("absl").setLevel(logging.ERROR)
    builder = tfds.builder(name, data_dir=data_dir)
    if not builder.is_prepared():
        _prepare(builder, data_dir)
    print(f"Reading {name} from {builder.data_path}", flush=True)
    train, test = (_read(builder, split) for split in ("train", "test"))
    classes = builder.info.features["label"].num_classes
    return Source(name, train, test, num_classes=classes)


def _read(builder, split: str) -> Examples:
    whole = builder.as_dataset(split=split, batch_size=-1, shuffle_files=False)
    return Examples(
        whole["image"].numpy(), whole["label"].numpy().astype(np.int32)
    )


def _prepare(builder, data_dir: str | None) -> None:
    """Download a data set, into a folder of its own.

    In a shared download folder TFDS takes one data set's files for another's
    where their names are equal, as those of MNIST and Fashion-MNIST are.
    """
    from tensorflow_datasets.core.download import downloader

    name, folder = builder.name, os.path.dirname(builder.data_path)
    print(f"Preparing {name} in {folder}", flush=True)
    # By default TFDS tries for minutes where there is no network at all, and
    # says so each time.
    downloader.MAX_RETRIES = RETRIES
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    downloads = os.path.join(folder, "downloads")
    made = [
        path
        for path in (downloads, builder.data_path)
        if not os.path.exists(path)
    ]
    try:
        builder.download_and_prepare(download_dir=downloads)
    except Exception as error:
        for path in made:
            shutil.rmtree(path, ignore_errors=True)
        # Whatever went wrong - no network, no room, a checksum - the way
        # out is the same.
        where = f" --data_dir={data_dir}" if data_dir else ""
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"Data set {name!r} is not prepared in "
            f"{str(builder.data_path)!r} and cannot be downloaded here "
            f"({type(error).__name__}: {reason}). Run `tfds build "
            f"{name}{where}` where there is a network, then pass that folder "
            "as `--data_dir`."
        ) from error
