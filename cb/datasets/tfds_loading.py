"""Reading and preparing data sets of TensorFlow Datasets."""

import contextlib
import logging
import os
import pathlib
import shutil
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader

from cb.datasets import preparation
from cb.datasets import tables
from cb.datasets.classes import Classes
from cb.datasets.dataset_splits import DatasetSplits
from cb.datasets.splits import train_test
from cb.datasets.storage import EncodedImages
from cb.datasets.tables import Missing
from cb.datasets.tables import Table
from cb.errors import InputError
from cb.errors import one_line
from cb.files import replacing
from cb.registry import lazy_import
from cb.text import program

tf = lazy_import("tensorflow")

RETRIES = 3
AT_ONCE = 4096
# Images that differ in size stay on disk; only this format finds each at once.
RANDOM_ACCESS = "array_record"
# In the order in which they are looked for.
TEST_SPLITS = ("test", "validation")
LABELS = ("label", "class_label", "class", "target")
TEST_FRACTION = 0.2


def load(
    name: str,
    data_dir: str | None,
    train: str = "train",
    test: str | None = None,
    label: str | None = None,
    missing: Missing = "refuse",
    **details,
) -> DatasetSplits:
    """Load a data set of images, or of features, with labels.

    The supervised keys of the data set name features and label. Without them
    the first image is the feature, otherwise all numbers but the label, in the
    order of their names.

    Args:
        name: String, a TFDS name.
        data_dir: String, the folder of TFDS, or `None` for its default.
        train: String, a TFDS split.
        test: String, a TFDS split; by default `test` or `validation`, if
            `train` has none of it, or else a fifth of every class, always the
            same.
        label: String, a feature; by default the supervised one, the first
            that is a class, or is named like one.
        missing: `"refuse"` examples with an empty label or a number that is
            NaN, or `"drop"` them.
        **details: Other arguments of `DatasetSplits`.

    Returns:
        A `DatasetSplits` of uint8 images, or of features as in
        `cb.datasets.tables.examples`.

    Raises:
        InputError: If the data are not prepared and cannot be downloaded, or
            have no label, or neither images nor numbers.
    """
    builder = prepared(name, data_dir)
    if test is None:
        # No example is both trained and tested on.
        used = {part.partition("[")[0].strip() for part in train.split("+")}
        splits = {*builder.info.splits} - used
        test = next((name for name in TEST_SPLITS if name in splits), None)
    label = label or _label(builder)
    feature = _label_feature(builder, label)
    print(f"Reading {name} from {builder.data_path}", flush=True)
    part = _read(builder, train, label)
    known = getattr(feature, "num_classes", None)
    classes = Classes(tuple(range(known))) if known else None
    trained, classes = tables.with_images(*part, classes, missing)
    if test is None:
        parts = train_test(trained, TEST_FRACTION, name)
    else:
        held = tables.with_images(
            *_read(builder, test, label), classes, missing, trained
        )[0]
        parts = (trained, held)
    return DatasetSplits(
        name=name,
        train=parts[0],
        test=parts[1],
        **{
            "num_classes": len(classes.values),
            "class_names": tuple(getattr(feature, "names", classes.names)),
            "preparations": preparation.of_kind(parts[0].features),
            "label": label,
            "feature_names": tables.names(*part),
            **details,
        },
    )


def prepared(name: str | type, data_dir: str | None):
    """Return a TFDS builder of prepared data, downloading them if need be.

    Args:
        name: String, a TFDS name, or a builder's class.
        data_dir: String, the folder of TFDS, or `None` for its default.

    Returns:
        A `tfds.core.DatasetBuilder`.

    Raises:
        InputError: If the data are not prepared and cannot be downloaded.
    """
    tfds.disable_progress_bar()
    # It warns of every folder without a data set before making one.
    logging.getLogger("absl").setLevel(logging.ERROR)
    builder = _builder(name, data_dir)
    if not builder.is_prepared():
        if _varies(builder):
            builder = _builder(name, data_dir, file_format=RANDOM_ACCESS)
        if not builder.is_prepared():
            _prepare(builder, data_dir)
    return builder


def known() -> list[str]:
    """Return the names of all data sets of TensorFlow Datasets."""
    return tfds.list_builders(with_community_datasets=False)


def _builder(name, data_dir, **options):
    if not isinstance(name, str):
        return name(data_dir=data_dir, **options)
    try:
        return tfds.builder(name, data_dir=data_dir, **options)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        reason = one_line(error)
        raise InputError(
            f"TensorFlow Datasets has no data set {name!r}: {reason}"
        ) from error


def _inputs(builder, label: str | None = None) -> list[str]:
    """Return the names of the features, sorted; TFDS gives them in any order.

    They are those of the supervised keys, if the data set has such.
    """
    keys = builder.info.supervised_keys
    supervised = {*tf.nest.flatten(keys[0])} if keys else {*()}
    found = sorted({*builder.info.features} - {label})
    return [name for name in found if name in supervised] or found


def _image(builder, label: str | None = None) -> str | None:
    """Return the name of the first feature that is an image."""
    features, inputs = builder.info.features, _inputs(builder, label)
    for name in features:
        if name in inputs and isinstance(features[name], tfds.features.Image):
            return name
    return None


def _varies(builder, label: str | None = None) -> bool:
    image = _image(builder, label)
    return bool(image) and None in builder.info.features[image].shape


def _label(builder) -> str:
    features, keys = builder.info.features, builder.info.supervised_keys
    if keys and isinstance(keys[1], str) and keys[1] in features:
        return keys[1]
    label = tfds.features.ClassLabel
    found = [name for name in features if isinstance(features[name], label)]
    found += [name for name in LABELS if name in features]
    if not found:
        raise InputError(
            f"Data set {builder.name!r} has no label among {list(features)}. "
            f"Name it as in \"tfds('{builder.name}', label='...')\"."
        )
    return found[0]


def _label_feature(builder, label: str):
    """Return the feature that is the label, which must be a single value."""
    features = builder.info.features
    if label not in features:
        raise InputError(
            f"Data set {builder.name!r} has no feature {label!r}. Expected one "
            f"of {list(features)}."
        )
    if features[label].shape != ():
        raise InputError(
            f"Label {label!r} of data set {builder.name!r} must be one value "
            f"for each example. Received: {type(features[label]).__name__} "
            f"of shape {features[label].shape}. `label` names another of "
            f"{[name for name in features if features[name].shape == ()]}"
        )
    return features[label]


def _read(builder, split: str, label: str) -> tuple[Table, Any]:
    """Read a split as a table, or as images and a table of their positions."""
    where = f"split {split!r} of data set {builder.name!r}"
    images: Any
    if _varies(builder, label):
        images, labels = _read_encoded(builder, split, label)
    else:
        image = _image(builder, label)
        names = [image] if image else _numbers(builder, label)
        columns = _columns(builder, split, [*names, label])
        labels = columns.pop(label)
        if not image:
            return tables.of_arrays(where, label, labels, columns), None
        images = columns[image]
    return tables.of_images(where, label, labels), images


def _columns(builder, split: str, names) -> dict[str, np.ndarray]:
    try:
        dataset = builder.as_dataset(split=split, shuffle_files=False)
    except (ValueError, KeyError) as error:
        raise _no_split(builder, split) from error
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for batch in dataset.batch(AT_ONCE).as_numpy_iterator():
        for name in names:
            found[name].append(batch[name])
    if not found[names[0]]:
        raise InputError(f"Split {split!r} of {builder.name!r} is empty.")
    # Of large data nothing is there twice.
    return {name: np.concatenate(found.pop(name)) for name in names}


def _numbers(builder, label) -> list[str]:
    """Return the names of the features that are numbers or booleans."""
    features, inputs = builder.info.features, _inputs(builder, label)
    names = [
        name
        for name in inputs
        if isinstance(features[name], tfds.features.Tensor)
        and None not in features[name].shape
        and np.dtype(features[name].np_dtype).kind in "biuf"
    ]
    if not names:
        raise InputError(
            f"Data set {builder.name!r} has neither images nor numbers of a "
            f"fixed shape among {inputs}."
        )
    if len(names) < len(inputs):
        others = ", ".join(name for name in inputs if name not in names)
        print(f"Not read, as they are no numbers: {others}", flush=True)
    return names


def _read_encoded(
    builder, split: str, label: str
) -> tuple[EncodedImages, np.ndarray]:
    """Open images that stay on disk; only labels are read, and kept."""
    image = _image(builder, label)
    try:
        source = builder.as_data_source(
            split=split, decoders={image: tfds.decode.SkipDecoding()}
        )
    except NotImplementedError as error:
        raise InputError(
            f"Data set {builder.name!r} in {str(builder.data_path)!r} is not "
            f"prepared for reading images one by one. Run `tfds build "
            f"{builder.name} --file_format={RANDOM_ACCESS} --overwrite`."
        ) from error
    except (ValueError, KeyError) as error:
        raise _no_split(builder, split) from error

    def read(numbers):
        records = source.__getitems__([int(number) for number in numbers])
        return [record[image] for record in records]

    labels = _kept_labels(builder, split, source, label)
    channels = builder.info.features[image].shape[-1]
    return EncodedImages(read, np.arange(len(source)), channels), labels


def _no_split(builder, split: str) -> InputError:
    return InputError(
        f"Data set {builder.name!r} has the splits "
        f"{sorted(builder.info.splits)}. Received: {split!r}"
    )


def _kept_labels(builder, split, source, label) -> np.ndarray:
    """Return the labels, from a file beside the data once they were read."""
    file = os.path.join(str(builder.data_path), f"{label}_of_{split}.npy")
    if os.path.exists(file):
        labels = np.load(file)
        if len(labels) == len(source):
            return labels
    print(f"Reading {len(source):,} labels, this once", flush=True)
    found = [
        record[label]
        for start in range(0, len(source), AT_ONCE)
        for record in source.__getitems__(
            list(range(start, min(start + AT_ONCE, len(source))))
        )
    ]
    labels = np.array(found)
    # In a folder that others prepared they are read again next time.
    with contextlib.suppress(OSError), replacing(file, shared=True) as opened:
        np.save(opened, labels)
    return labels


def _prepare(builder, data_dir: str | None) -> None:
    """Download a data set, into a folder of its own.

    In a shared download folder TFDS takes one data set's files for another's
    where their names are equal, as those of MNIST and Fashion-MNIST are.
    """
    name, folder = builder.name, os.path.dirname(builder.data_path)
    print(f"Preparing {name} in {folder}", flush=True)
    # By default TFDS tries for minutes where there is no network at all, and
    # says so each time.
    downloader.MAX_RETRIES = RETRIES
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    downloads = os.path.join(folder, "downloads")
    made = [_first_missing(path) for path in (downloads, builder.data_path)]
    try:
        builder.download_and_prepare(download_dir=downloads)
    except Exception as error:
        for path in filter(None, made):
            shutil.rmtree(path, ignore_errors=True)
        # No network, no room, a checksum: the remedy is always the same.
        command = f"tfds build {name}"
        if not type(builder).__module__.startswith("tensorflow_datasets"):
            command = f"{program('train')} --dataset={name}"
        where = f" --data_dir={data_dir}" if data_dir else ""
        reason = one_line(error)
        raise InputError(
            f"Data set {name!r} is not prepared in "
            f"{str(builder.data_path)!r} and cannot be downloaded here "
            f"({type(error).__name__}: {reason}). Run `{command}{where}` where "
            "there is a network, then pass that folder as `--data_dir`."
        ) from error


def _first_missing(path) -> str | None:
    """Return the first folder of a path that has to be made."""
    path = pathlib.Path(path)
    missing = [part for part in (path, *path.parents) if not part.exists()]
    return str(missing[-1]) if missing else None
