"""Validation and test parts, held out by a seed or by time.

scikit-learn has stratified splits and folds too, but it draws them from a
legacy generator and with other roundings. The examples that runs hold out
must stay the same, so they are drawn here, from generators with keys.
"""

from collections.abc import Mapping
from typing import Any
from typing import Literal

import numpy as np

from cb.datasets.dataset_splits import Examples
from cb.errors import InputError
from cb.seeds import generator

Order = Literal["random", "time"]
TRAIN, VALIDATION, TEST = "train", "validation", "test"
# Usual names of the parts.
PARTS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("dev", "val", "valid", "validation"), VALIDATION),
    **dict.fromkeys(("eval", "evaluation", "holdout", "test", "testing"), TEST),
}


def hold_out(
    examples: Examples,
    fraction: float,
    seed: int,
    number: int | None = None,
    fold: str | None = None,
    ordered: bool = False,
) -> tuple[Examples, Examples | None]:
    """Split off a stratified validation part.

    Args:
        examples: `Examples`.
        fraction: Float in [0, 1), the part held out of every class.
        seed: Integer, decides the examples. Folds do not depend on it.
        number: Integer, how many examples are held out instead of
            `fraction`.
        fold: Text such as `"2/5"`, the second of five folds, held out
            instead. Folds are disjoint and make up the whole.
        ordered: Boolean, whether the last examples are held out, and folds
            are one after the other, instead of stratified ones.

    Returns:
        Tuple of the rest and the part held out, `None` if nothing is. Both
        keep the order of the data.

    Raises:
        InputError: If nothing is left on a side.
    """
    if fold is None and not (fraction if number is None else number):
        return examples, None
    if fold is not None:
        held = _fold(examples.labels, *parse_fold(fold), ordered)
        asked = f"fold={fold!r}"
    elif number is not None:
        held = _numbered(examples.labels, number, seed, ordered)
        asked = f"validation_examples={number}"
    else:
        held = _fraction(examples.labels, fraction, seed, ordered)
        asked = f"validation_fraction={fraction}"
    return _parted(
        examples,
        held,
        f"Argument `{asked.partition('=')[0]}` must leave examples on both "
        f"sides of {len(examples)}. Received: {asked}",
    )


def train_test(
    examples: Examples, fraction: float, name: str, ordered: bool = False
) -> tuple[Examples, Examples]:
    """Split off a test part that is always the same.

    Args:
        examples: `Examples`.
        fraction: Float in (0, 1), the part of every class for testing.
        name: String, of the data set.
        ordered: Boolean, whether it is the last part instead.

    Returns:
        Tuple of training and test `Examples`.

    Raises:
        InputError: If nothing is left on a side.
    """
    held = _fraction(examples.labels, fraction, ("test", name), ordered)
    return _parted(
        examples,
        held,
        f"Data set {name!r} has too few examples, {len(examples)}, for a test "
        f"part of {fraction}.",
    )


def completed(
    found: Mapping[str, Examples],
    fraction: float,
    name: str,
    places: Mapping[str, Any],
) -> tuple[Examples, Examples, Examples | None]:
    """Return parts that a user has named, with a test part in any case.

    Args:
        found: Dict of `TRAIN` and perhaps `VALIDATION` and `TEST` to
            `Examples`. Without a test part the validation part is it, which is
            printed; without both it is split off.
        fraction: As in `train_test`.
        name: As in `train_test`.
        places: Dict of part to where it is, for the message.

    Returns:
        Tuple of the training, the test and the validation part or `None`.
    """
    parts = dict(found)
    if TEST not in parts and VALIDATION in parts:
        place = str(places[VALIDATION])
        print(f"{place!r} is the test part, as there is no other", flush=True)
        parts[TEST] = parts.pop(VALIDATION)
    if TEST not in parts:
        return *train_test(parts[TRAIN], fraction, name), None
    return parts[TRAIN], parts[TEST], parts.get(VALIDATION)


def parse_fold(text: str) -> tuple[int, int]:
    """Read `"2/5"` as the second of five folds.

    Args:
        text: String.

    Returns:
        Tuple of the number of the fold, from 1, and how many there are.

    Raises:
        InputError: If the text is malformed.
    """
    number, _, folds = str(text).partition("/")
    if number.isdecimal() and folds.isdecimal():
        if 1 <= int(number) <= int(folds) and int(folds) >= 2:
            return int(number), int(folds)
    raise InputError(
        "Argument `fold` must be a fold from 1 on and how many there are, at "
        f"least 2, such as '2/5'. Received: fold={text!r}"
    )


def _fraction(labels, fraction, seed, ordered):
    if ordered:
        return _last(labels, round(fraction * len(labels)))
    classes, counts = np.unique(labels, return_counts=True)
    parts = [round(fraction * int(count)) for count in counts]
    key = seed if isinstance(seed, tuple) else (seed, "validation")
    return _drawn(labels, classes, parts, key)


def _numbered(labels, number, seed, ordered):
    """Hold out exactly `number`, of every class as near as can be."""
    if ordered or number > len(labels):
        return _last(labels, number)
    classes, counts = np.unique(labels, return_counts=True)
    shares = number * counts / len(labels)
    parts = np.floor(shares).astype(int)
    missing = number - parts.sum()
    parts[np.argsort(parts - shares, kind="stable")[:missing]] += 1
    return _drawn(labels, classes, parts, (seed, "validation"))


def _drawn(labels, classes, parts, key):
    """Draw `parts` examples of each class."""
    held = np.zeros(len(labels), bool)
    for label, part in zip(classes, parts, strict=True):
        positions = np.flatnonzero(labels == label)
        random = generator(*key, int(label))
        held[random.permutation(positions)[:part]] = True
    return held


def _fold(labels, number, folds, ordered):
    if ordered:
        places = np.arange(len(labels))
        first, end = (len(labels) * n // folds for n in (number - 1, number))
        return (first <= places) & (places < end)
    dealt = np.empty(len(labels), int)
    first = 0
    for label in np.unique(labels):
        positions = np.flatnonzero(labels == label)
        positions = generator("folds", int(label)).permutation(positions)
        # Continuing where the last class ended keeps the folds equal in size.
        dealt[positions] = (first + np.arange(positions.size)) % folds
        first += positions.size
    return dealt == number - 1


def _parted(examples, held, refusal):
    if not held.any() or held.all():
        raise InputError(refusal)
    return (
        examples.take(np.flatnonzero(~held)),
        examples.take(np.flatnonzero(held)),
    )


def _last(labels, number):
    return np.arange(len(labels)) >= len(labels) - number
