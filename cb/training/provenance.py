"""Provenance of a run: its data, versions and replicas, compared and noted."""

import hashlib
import pathlib
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import cb
from cb.datasets.dataset_splits import DatasetSplits
from cb.datasets.dataset_splits import Examples
from cb.errors import InputError
from cb.runs.directory import RunDirectory
from cb.training.data import Data

# The end of a line about data that have changed.
ACCEPTED = "Accepted"


def _source_digest() -> str:
    hashed = hashlib.blake2b(digest_size=4)
    for file in sorted(pathlib.Path(cb.__file__).parent.rglob("*.py")):
        hashed.update(file.read_bytes())
    return hashed.hexdigest()


# Results depend on them, so they must be the same on all workers.
VERSIONS = {
    "cb": cb.__version__,
    "source": _source_digest(),
    "keras": keras.__version__,
    "tensorflow": tf.__version__,
}


def started(data: Data, replicas: int) -> dict[str, Any]:
    """Return the facts about a start of a run that `config.json` keeps.

    Args:
        data: `Data`.
        replicas: Integer.

    Returns:
        Dict of JSON values: `data`, `versions` and `replicas`. The same data
        at another place are the same.
    """
    return {
        "data": described(data.source, data.examples, data.held_out),
        "versions": VERSIONS,
        "replicas": replicas,
    }


def described(
    source: DatasetSplits, trained: Examples, held_out: Examples | None
) -> dict[str, Any]:
    """Return label, features, classes, sizes and digests of data.

    Args:
        source: `DatasetSplits`, whose test part it is.
        trained: `Examples` that are trained on.
        held_out: `Examples` for validation, or `None`.

    Returns:
        Dict of JSON values, the `data` of `started`.
    """
    parts = {"training": trained, "validation": held_out, "test": source.test}
    digests = {
        name: {
            "examples": len(part),
            "by_class": np.bincount(
                part.labels, minlength=source.num_classes
            ).tolist(),
            **part.digests(),
        }
        for name, part in parts.items()
        if part is not None
    }
    names = source.feature_names
    return {
        "label": source.label,
        "features": list(names) if names else source.features_text,
        "classes": list(source.class_names or range(source.num_classes)),
        "parts": digests,
    }


def compared(
    directory: RunDirectory, start: Mapping[str, Any], accepted: bool
) -> list[str]:
    """Compare a start of a run with the one before.

    Args:
        directory: `RunDirectory`.
        start: Dict from `started`, or a part of it.
        accepted: Boolean, whether the data may have changed.

    Returns:
        List of lines to print; empty for a new run.

    Raises:
        InputError: If the data have changed and that is not accepted.
    """
    if not directory.config_file.exists():
        return []
    before = directory.read_start()
    if "data" not in before:
        return [
            "The run has no record of its data, so they were not compared. "
            "Training it further records them"
        ]
    lines = []
    changes = list(data_changes(before["data"], start["data"]))
    if changes:
        what = f"The data of run {str(directory.path)!r} have changed: "
        what += "; ".join(changes)
        if not accepted:
            raise InputError(
                f"{what}. Restore them, name another `run_dir`, or continue "
                "with `--accept_changed_data`"
            )
        lines.append(f"{what}. {ACCEPTED}")
    if start.get("versions", before["versions"]) != before["versions"]:
        others = [
            f"{name} {version}, before {before['versions'].get(name)}"
            for name, version in start["versions"].items()
            if version != before["versions"].get(name)
        ]
        lines.append(
            f"Other code: {'; '.join(others)}. Configuration, data, weights "
            "and masks are the same; further steps may differ"
        )
    if start.get("replicas", before["replicas"]) != before["replicas"]:
        lines.append(
            f"Replicas: {start['replicas']}, before {before['replicas']}. "
            "Batches, weights, masks and schedules are the same; sums are "
            "rounded in another order, and batch normalization and dropout "
            "see other shares of a batch"
        )
    return lines


def data_changes(
    before: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what differs between two descriptions of data, in words.

    Args:
        before: Dict, `data` of `started`.
        now: As `before`.
    """
    if before["label"] != now["label"]:
        yield f"label {now['label']!r}, not {before['label']!r}"
    for what in ("features", "classes"):
        old, new = before[what], now[what]
        if old == new:
            continue
        if isinstance(old, str) or isinstance(new, str):
            yield f"{what} {new}, not {old}"
            continue
        gone = [name for name in old if name not in new]
        added = [name for name in new if name not in old]
        if gone:
            yield f"{what} gone: {gone}"
        if added:
            yield f"{what} added: {added}"
        if not gone and not added:
            yield f"{what} in another order"
    for part in {**before["parts"], **now["parts"]}:
        yield from _part_changes(
            part, before["parts"].get(part), now["parts"].get(part)
        )


def _part_changes(name, old, new) -> Iterator[str]:
    if old is None or new is None:
        yield f"the {name} part is {'gone' if new is None else 'added'}"
    elif old["examples"] != new["examples"]:
        yield (
            f"the {name} part has {new['examples']:,} examples, not "
            f"{old['examples']:,}"
        )
    else:
        wrong = [key for key in ("features", "labels") if old[key] != new[key]]
        if wrong:
            yield f"{' and '.join(wrong)} of the {name} part differ"
