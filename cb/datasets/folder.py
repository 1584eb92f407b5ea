"""A folder of the user's own, with a folder of images for each class."""

import os
import pathlib
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np

from cb.datasets import REGISTRY
from cb.datasets import preparation
from cb.datasets.dataset_splits import DatasetSplits
from cb.datasets.dataset_splits import Examples
from cb.datasets.image_files import looks_whole
from cb.datasets.image_files import upright
from cb.datasets.splits import PARTS
from cb.datasets.splits import TRAIN
from cb.datasets.splits import completed
from cb.datasets.storage import EncodedImages
from cb.errors import InputError
from cb.errors import argument_error
from cb.registry import OpenFraction

SUFFIXES = (
    *(".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png"),
    *(".tif", ".tiff", ".webp"),
)
# Files that are read at once, as those of another machine take a while each.
READERS = 16
WORDS = re.compile(r"[^\W_\d]+|\d+")
# Words, "set" left out, that may stand beside that of a part.
UNSAID = {"", "data", "images"}
# What systems and programs leave behind, besides names that begin with a dot.
LEFT_BEHIND = {"__MACOSX", "__pycache__", "@eaDir", "$RECYCLE.BIN"}


@REGISTRY.register("folder")
def folder(
    path: str, test_fraction: OpenFraction = 0.2, channels: Literal[1, 3] = 3
) -> DatasetSplits:
    """Load images of any size, which stay on disk.

    Args:
        path: String, a folder with a folder of images for each class, whose
            labels follow the sorted names; or with folders of such, named
            `train`, `val` and `test` or as is usual instead. Without `test`,
            `val` is the test part.
        test_fraction: Float in (0, 1), part of every class for testing where
            there is neither; always the same images.
        channels: 1 for grey or 3 for colours.
    """
    root = pathlib.Path(path).expanduser()
    if not root.is_dir():
        raise argument_error("path", "a folder", str(path))
    parts = _parts(root)
    first = parts.get(TRAIN, root)
    names = tuple(entry.name for entry in _folders(first))
    if len(names) < 2:
        raise InputError(
            f"Folder {str(first)!r} must hold a folder for each of at least "
            f"two classes. Received: {[*names]}"
        )
    found = {
        part: _examples(place, names, channels, held=part != TRAIN)
        for part, place in ({TRAIN: root} | parts).items()
    }
    train, test, held = completed(found, test_fraction, "folder", parts)
    return DatasetSplits(
        root.name,
        train,
        test,
        num_classes=len(names),
        class_names=names,
        preparations=preparation.LARGE,
        validation=held,
    )


def _parts(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Return the folders that are parts, by the part; empty without parts."""
    # By what else their names say: `seg_train` belongs to `seg_test`.
    groups: dict[str, dict[str, pathlib.Path]] = {}
    folders = _folders(root)
    for entry in folders:
        part, rest = _part(entry.name)
        if part is None:
            continue
        group = groups.setdefault(rest, {})
        if part in group:
            raise InputError(
                f"Folder {str(root)!r} must have one {part} part. Received: "
                f"{group[part].name!r} and {entry.name!r}"
            )
        group[part] = entry
    several = (g for g in groups.values() if TRAIN in g and len(g) > 1)
    parts = groups.get("") or next(several, {})
    others = [entry.name for entry in folders if entry not in parts.values()]
    if parts and (TRAIN not in parts or (others and len(parts) == 1)):
        raise InputError(
            f"Folder {str(root)!r} must hold classes, or a training part and "
            "others. Received: "
            f"{sorted(entry.name for entry in parts.values())}, which name "
            f"parts, beside {others}"
        )
    if parts and others:
        print(f"Not read in {str(root)!r}: {', '.join(others)}", flush=True)
    return parts


def _part(name: str) -> tuple[str | None, str]:
    """Return the part that a name contains, if any, and its other words."""
    spaced = re.sub("([a-z])([A-Z])", r"\1 \2", name).lower()
    words = [word.removesuffix("set") for word in WORDS.findall(spaced)]
    parts = [PARTS[word] for word in words if word in PARTS]
    rest = [word for word in words if word not in {*PARTS, *UNSAID}]
    return (parts[0] if len(parts) == 1 else None), " ".join(rest)


def _folders(root: pathlib.Path) -> list[pathlib.Path]:
    found = [entry for entry in root.iterdir() if entry.is_dir()]
    return sorted(entry for entry in found if not _left_behind(entry.name))


def _left_behind(name: str) -> bool:
    return name.startswith(".") or name in LEFT_BEHIND


def _examples(root: pathlib.Path, names, channels: int, held: bool) -> Examples:
    unknown = [e.name for e in _folders(root) if e.name not in names]
    if unknown:
        raise InputError(
            f"Folder {str(root)!r} has a class that is not trained on: "
            f"{unknown[0]!r}. Expected one of {list(names)}."
        )
    files: list[pathlib.Path] = []
    labels: list[int] = []
    ignored: Counter[str] = Counter()
    for label, name in enumerate(names):
        found = sorted(_images(root / name, ignored))
        if not found and not held:
            raise InputError(
                f"Folder {str(root / name)!r} must hold images "
                f"({', '.join(SUFFIXES)}), and has none."
            )
        files += found
        labels += [label] * len(found)
    if not files:
        raise InputError(
            f"Folder {str(root)!r} must hold images in a folder for each "
            f"class, {list(names)}, and has none."
        )
    if ignored:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in ignored.items())
        print(f"Not read in {str(root)!r}: {kinds}", flush=True)

    def read(numbers):
        return [upright(files[number].read_bytes()) for number in numbers]

    places = [file.relative_to(root).as_posix() for file in files]
    sizes = [file.stat().st_size for file in files]
    images = EncodedImages(read, np.arange(len(files)), channels, places, sizes)
    # Now, since the last image is decoded after the last epoch.
    try:
        with ThreadPoolExecutor(READERS) as readers:
            whole = np.fromiter(readers.map(looks_whole, files), bool)
    except OSError as error:
        raise InputError(
            f"Image {str(error.filename)!r} cannot be read: {error.strerror}"
        ) from error
    doubtful = images[np.flatnonzero(~whole)]
    doubtful.require_decodable(f"folder {str(root)!r}")
    return Examples(images, np.array(labels, np.int32))


def _images(root: pathlib.Path, ignored: Counter[str]):
    """Yield the images in a folder and the folders in it."""
    above = pathlib.Path(os.path.realpath(root)).parents
    walked = {*map(str, above)}
    for folder, folders, files in os.walk(root, followlinks=True):
        # A link may lead back to where it is, or to all classes.
        if os.path.realpath(folder) in walked:
            folders.clear()
            continue
        walked.add(os.path.realpath(folder))
        folders[:] = [name for name in folders if not _left_behind(name)]
        for name in files:
            file = pathlib.Path(folder, name)
            if _left_behind(name):
                continue
            if not file.is_file():
                ignored[f"dangling link such as {str(file)!r}"] += 1
            elif file.suffix.lower() in SUFFIXES:
                yield file
            else:
                ignored[f"{file.suffix or 'file without an ending'}"] += 1
