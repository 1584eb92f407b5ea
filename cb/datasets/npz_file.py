"""A data set of the user's own, NumPy arrays in a file."""

import os
import re
import zipfile
import zlib
from typing import Literal
from typing import NamedTuple

import numpy as np

from cb.datasets import REGISTRY
from cb.datasets import preparation
from cb.datasets import tables
from cb.datasets.classes import Classes
from cb.datasets.dataset_splits import DatasetSplits
from cb.datasets.dataset_splits import Examples
from cb.datasets.splits import PARTS
from cb.datasets.splits import TEST
from cb.datasets.splits import TRAIN
from cb.datasets.splits import completed
from cb.errors import InputError
from cb.errors import argument_error
from cb.errors import one_line
from cb.registry import OpenFraction

# Usual names of the arrays, in lower case and without that of the part.
FEATURES = ("x", "images", "image", "data", "features", "inputs")
LABELS = ("y", "labels", "label", "targets", "target", "classes")
BRIGHTEST = 255
CHANNELS = (1, 2, 3, 4)
UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


@REGISTRY.register("npz")
def npz(
    path: str,
    features: str | None = None,
    label: str | None = None,
    test: str | None = None,
    test_fraction: OpenFraction = 0.2,
    missing: Literal["refuse", "drop"] = "refuse",
) -> DatasetSplits:
    """Load arrays that `numpy.savez` has written.

    Usual names are known: `x` and `y`, `x_train` and `y_train`,
    `train_images` and `train_labels`, and likewise `val` and `test`. Integers
    from 0 to 255, two axes or more for each example, are images.

    Args:
        path: String, a file.
        features: String, the name of an array of features `(examples, ...)`,
            without that of its part.
        label: String, as `features`, of labels `(examples,)`.
        test: String, a file whose arrays are for testing.
        test_fraction: Float in (0, 1), part of every class for testing where
            there is no such part; always the same examples.
        missing: `"refuse"` examples without a label or with a number that is
            NaN, or `"drop"` them.
    """
    parts = _parts(path, features, label)
    if TRAIN not in parts:
        raise InputError(
            f"File {path!r} must have a training part. Received: {[*parts]}"
        )
    if test is not None:
        others = _parts(test, features, label)
        parts[TEST] = others.get(TEST) or [*others.values()][0]
    trained, classes = _examples(parts[TRAIN], missing)
    found = {TRAIN: trained}
    for part in {*parts} - {TRAIN}:
        found[part], _ = _examples(parts[part], missing, classes, trained)
    names = {part: arrays.key for part, arrays in parts.items()}
    train, tested, held = completed(found, test_fraction, "npz", names)
    return DatasetSplits(
        "npz",
        train,
        tested,
        num_classes=len(classes.values),
        class_names=classes.names,
        preparations=preparation.of_kind(trained.features),
        validation=held,
        label=parts[TRAIN].label,
    )


class _Arrays(NamedTuple):
    """Features and labels of a part, as they are in a file."""

    where: str
    key: str
    features: np.ndarray
    label: str
    labels: np.ndarray


def _parts(
    path: str, features: str | None, label: str | None
) -> dict[str, _Arrays]:
    """Read the parts that a file has."""
    file = os.path.expanduser(path)
    if not os.path.isfile(file):
        raise argument_error("path", "a file", path)
    try:
        # NumPy leaves a file open that it cannot read, and an array alone is
        # no context.
        with open(file, "rb") as raw, np.load(raw) as opened:
            roles = _roles(path, opened.files, features, label)
            return {
                part: _checked(path, part, opened, *keys)
                for part, keys in roles.items()
            }
    except InputError:
        raise
    except (*UNREADABLE, TypeError) as error:
        reason = one_line(error)
        raise InputError(
            f"File {path!r} must hold arrays of numbers, or of text as labels, "
            f"written by `numpy.savez`. Received: {reason}"
        ) from error


def _roles(path, keys, features, label) -> dict[str, tuple[str, str]]:
    """Return the names of features and labels, by part."""
    wanted = (
        {_taken_apart(features)[1]} if features else {*FEATURES},
        {_taken_apart(label)[1]} if label else {*LABELS},
    )
    found: dict[str, tuple[list[str], list[str]]] = {}
    unread = []
    for key in keys:
        part, stem = _taken_apart(key)
        roles = [role for role in (0, 1) if stem in wanted[role]]
        for role in roles:
            found.setdefault(part, ([], []))[role].append(key)
        unread += [] if roles else [key]
    for part, named in found.items():
        for what, names in zip(("features", "labels"), named, strict=True):
            if len(names) != 1:
                raise InputError(
                    f"File {path!r} must have one array of {what} for its "
                    f"{part} part. Received: {names} of {[*keys]}. `features` "
                    "and `label` name them, without the part"
                )
    if not found:
        raise InputError(
            f"File {path!r} must have an array of features and one of labels. "
            f"Received: {[*keys]}. `features` and `label` name them"
        )
    if unread:
        print(f"Not read in {path!r}: {', '.join(unread)}", flush=True)
    return {part: (xs[0], ys[0]) for part, (xs, ys) in found.items()}


def _taken_apart(key: str) -> tuple[str, str]:
    """Return the part and the rest of the name of an array."""
    words = re.findall(r"[^\W_]+", key.lower())
    parts = [PARTS[word] for word in words if word in PARTS]
    stem = "_".join(word for word in words if word not in PARTS)
    return (parts or [TRAIN])[0], stem


def _checked(path: str, part: str, opened, key: str, label: str) -> _Arrays:
    """Return two arrays of a file that belong together."""
    features, labels = opened[key], opened[label]
    where = f"file {path!r}, {part} part,"
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise InputError(
            f"Array {label!r} of {path!r} must have one label for each "
            f"example. Received: shape {labels.shape}. "
            "`argmax(axis=1)` makes labels of zeros and ones"
        )
    if not features.ndim or len(features) != len(labels):
        raise InputError(
            f"Array {key!r} of {path!r} must have an example for each label, "
            f"{len(labels)}. Received: shape {features.shape}"
        )
    if not len(labels):
        raise InputError(
            f"Array {key!r} of {path!r} must have examples. "
            f"Received: shape {features.shape}"
        )
    if features.dtype.kind not in "biuf":
        raise InputError(
            f"Array {key!r} of {path!r} must hold numbers. "
            f"Received: {features.dtype}"
        )
    shape = features.shape
    if len(shape) == 4 and shape[1] in CHANNELS and shape[3] not in CHANNELS:
        raise InputError(
            f"Array {key!r} of {path!r} must have its channels last. "
            f"Received: shape {shape}. `transpose(0, 2, 3, 1)` moves them"
        )
    if features.ndim in (1, 3):
        features = features[..., None]
    return _Arrays(where, key, features, _taken_apart(label)[1], labels)


def _examples(
    arrays: _Arrays,
    missing: tables.Missing,
    classes: Classes | None = None,
    trained: Examples | None = None,
) -> tuple[Examples, Classes]:
    """Return `Examples` and `Classes` of a part."""
    where, _, features, label, labels = arrays
    shape = features.shape[1:]
    pixels = _are_pixels(features)
    if pixels:
        table = tables.of_images(where, label, labels)
    else:
        table = tables.of_arrays(where, label, labels, {"x": features})
    if trained is not None:
        kind = "images" if trained.features.dtype == np.uint8 else "numbers"
        if shape != trained.features.shape[1:] or pixels != (kind == "images"):
            raise InputError(
                f"Features of {where} must be {kind} of shape "
                f"{trained.features.shape[1:]}, as those for training. "
                f"Received: {features.dtype} of shape {shape}, up to "
                f"{features.max()}"
            )
    images = features.astype(np.uint8) if pixels else None
    found, classes = tables.with_images(
        table, images, classes, missing, trained
    )
    # A table is flat.
    flat = found.features.reshape(-1, *shape)
    return Examples(flat, found.labels), classes


def _are_pixels(features: np.ndarray) -> bool:
    if features.ndim < 3 or features.dtype.kind not in "iu":
        return False
    if not features.size:
        return False
    return bool(features.min() >= 0 and features.max() <= BRIGHTEST)
