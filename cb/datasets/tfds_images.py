"""Image data sets of TensorFlow Datasets that fit into memory."""

import os

import numpy as np

from cb.datasets import REGISTRY
from cb.datasets.source import Examples
from cb.datasets.source import Source
from cb.errors import InputError


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
    name, folder = builder.name, os.path.dirname(builder.data_path)
    print(f"Preparing {name} in {folder}", flush=True)
    try:
        builder.download_and_prepare(
            download_dir=os.path.join(folder, "downloads")
        )
    except Exception as error:
        # Whatever went wrong - no network, no room, a checksum - the way
        # out is the same, and the folder may be half-written.
        where = f" --data_dir={data_dir}" if data_dir else ""
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"Data set {name!r} is not prepared in {builder.data_path!r} and "
            f"cannot be downloaded here ({type(error).__name__}: {reason}). "
            f"Run `tfds build {name}{where}` where there is a network, then "
            "pass that folder as `--data_dir`."
        ) from error
