"""Reading and preparing data sets of TensorFlow Datasets."""

import contextlib
import logging
import os
import pathlib
import shutil

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader

from cb.datasets import preparation
from cb.datasets.dataset_splits import DatasetSplits
from cb.datasets.dataset_splits import Examples
from cb.datasets.splits import train_test
from cb.datasets.storage import EncodedImages
from cb.errors import InputError
from cb.errors import one_line
from cb.files import replacing

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
    **details,
) -> DatasetSplits:
    """Load a data set of images, or of features, with labels.

    Images are the first feature that is one; otherwise all numbers but the
    label are features, in the order of their names.

    Args:
        name: String, a TFDS name.
        data_dir: String, the folder of TFDS, or `None` for its default.
        train: String, a TFDS split.
        test: String, a TFDS split; by default `test` or `validation`, or if
            there are neither, a fifth of every class, always the same.
        label: String, a feature; by default the first that is a class, or is
            named like one.
        **details: Other arguments of `DatasetSplits`.

    Returns:
        A `DatasetSplits` of uint8 images or float32 features.

    Raises:
        InputError: If the data are not prepared and cannot be downloaded, or
            have no label, or neither images nor numbers.
    """
    builder = prepared(name, data_dir)
    if test is None:
        splits = builder.info.splits
        test = next((name for name in TEST_SPLITS if name in splits), None)
    label = label or _label(builder)
    print(f"Reading {name} from {builder.data_path}", flush=True)
    parts = [_read(builder, split, label) for split in (train, test) if split]
    if len(parts) == 1:
        parts = list(train_test(parts[0], TEST_FRACTION, name))
    return DatasetSplits(
        name=name,
        train=parts[0],
        test=parts[1],
        **{
            "num_classes": _num_classes(builder, label, parts),
            "class_names": _class_names(builder, label),
            "preparations": preparation.of_kind(parts[0].features),
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


def _image(builder) -> str | None:
    """Return the name of the first feature that is an image."""
    for name, feature in builder.info.features.items():
        if isinstance(feature, tfds.features.Image):
            return name
    return None


def _varies(builder) -> bool:
    image = _image(builder)
    return bool(image) and None in builder.info.features[image].shape


def _label(builder) -> str:
    features = builder.info.features
    label = tfds.features.ClassLabel
    found = [name for name in features if isinstance(features[name], label)]
    found += [name for name in LABELS if name in features]
    if not found:
        raise InputError(
            f"Data set {builder.name!r} has no label among {list(features)}. "
            f"Name it as in \"tfds('{builder.name}', label='...')\"."
        )
    return found[0]


def _num_classes(builder, label, parts) -> int:
    found = getattr(builder.info.features[label], "num_classes", None)
    return found or 1 + max(int(part.labels.max()) for part in parts)


def _class_names(builder, label) -> tuple[str, ...] | None:
    names = getattr(builder.info.features[label], "names", None)
    return tuple(names) if names else None


def _read(builder, split: str, label: str) -> Examples:
    if label not in builder.info.features:
        raise InputError(
            f"Data set {builder.name!r} has no feature {label!r}. Expected one "
            f"of {list(builder.info.features)}."
        )
    if _varies(builder):
        return _read_encoded(builder, split, label)
    image = _image(builder)
    names = [image] if image else _numbers(builder, label)
    try:
        dataset = builder.as_dataset(split=split, shuffle_files=False)
    except (ValueError, KeyError) as error:
        raise _no_split(builder, split) from error
    features, labels = [], []
    for batch in dataset.batch(AT_ONCE).as_numpy_iterator():
        columns = [batch[name] for name in names]
        features.append(columns[0] if image else _matrix(columns))
        labels.append(_integers(batch[label], label))
    if not labels:
        raise InputError(f"Split {split!r} of {builder.name!r} is empty.")
    return Examples(np.concatenate(features), np.concatenate(labels))


def _numbers(builder, label) -> list[str]:
    """Return the names of the features that are numbers, sorted.

    TFDS gives them in any order.
    """
    names = [
        name
        for name, feature in sorted(builder.info.features.items())
        if name != label
        and isinstance(feature, tfds.features.Tensor)
        and None not in feature.shape
        and np.issubdtype(feature.np_dtype, np.number)
    ]
    if not names:
        raise InputError(
            f"Data set {builder.name!r} has neither images nor numbers of a "
            f"fixed shape among {list(builder.info.features)}."
        )
    return names


def _matrix(columns) -> np.ndarray:
    return np.concatenate(
        [column.reshape(len(column), -1) for column in columns], axis=1
    ).astype(np.float32)


def _integers(labels, name) -> np.ndarray:
    if labels.ndim != 1 or (labels != labels.astype(np.int32)).any():
        raise InputError(
            f"Label {name!r} must be one integer for each example."
        )
    return labels.astype(np.int32)


def _read_encoded(builder, split: str, label: str) -> Examples:
    """Open images that stay on disk; only labels are read, and kept."""
    image = _image(builder)
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
    return Examples(
        EncodedImages(read, np.arange(len(source)), channels), labels
    )


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
    labels = _integers(np.array(found), label)
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
            command = f"python train.py --dataset={name}"
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
