"""A folder of the user's own, with a folder of images for each class."""

import pathlib
from typing import Literal

import numpy as np

from cb.datasets import REGISTRY
from cb.datasets import preparation
from cb.datasets.dataset_splits import DatasetSplits
from cb.datasets.dataset_splits import Examples
from cb.datasets.splits import train_test
from cb.datasets.storage import EncodedImages
from cb.errors import InputError
from cb.errors import argument_error
from cb.registry import OpenFraction

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
TRAIN, TEST = "train", ("val", "validation", "test")


@REGISTRY.register("folder")
def folder(
    path: str, test_fraction: OpenFraction = 0.2, channels: Literal[1, 3] = 3
) -> DatasetSplits:
    """Load images of any size, which stay on disk.

    Args:
        path: String, a folder with a folder of images for each class, whose
            labels follow the sorted names; or with folders `train` and `val`
            of such, as ImageNet has.
        test_fraction: Float in (0, 1), part of every class for testing where
            there is no `val`; always the same images.
        channels: 1 for grey or 3 for colours.
    """
    root = pathlib.Path(path)
    if not root.is_dir():
        raise argument_error("path", "a folder", str(path))
    held = [root / name for name in TEST if (root / name).is_dir()]
    if (root / TRAIN).is_dir() and held:
        names = _class_names(root / TRAIN)
        train = _examples(root / TRAIN, names, channels)
        parts = (train, _examples(held[0], names, channels))
    else:
        names = _class_names(root)
        whole = _examples(root, names, channels)
        parts = train_test(whole, test_fraction, "folder")
    return DatasetSplits(
        root.name,
        *parts,
        num_classes=len(names),
        class_names=names,
        preparations=preparation.LARGE,
    )


def _class_names(root: pathlib.Path) -> tuple[str, ...]:
    names = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    if len(names) < 2:
        raise InputError(
            f"Folder {str(root)!r} must hold a folder for each of at least two "
            f"classes. Received: {names}"
        )
    return tuple(names)


def _examples(root: pathlib.Path, names, channels: int) -> Examples:
    extra = sorted({entry.name for entry in root.iterdir()} - {*names})
    unknown = [name for name in extra if (root / name).is_dir()]
    if unknown:
        raise InputError(
            f"Folder {str(root)!r} has a class that is not trained on: "
            f"{unknown[0]!r}. Expected one of {list(names)}."
        )
    files: list[pathlib.Path] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        found = sorted(
            file
            for file in (root / name).rglob("*")
            if file.suffix.lower() in SUFFIXES
        )
        if not found:
            raise InputError(
                f"Folder {str(root / name)!r} must hold images "
                f"({', '.join(SUFFIXES)}), and has none."
            )
        files += found
        labels += [label] * len(found)

    def read(numbers):
        return [files[number].read_bytes() for number in numbers]

    places = [file.relative_to(root).as_posix() for file in files]
    images = EncodedImages(read, np.arange(len(files)), channels, places)
    return Examples(images, np.array(labels, np.int32))
