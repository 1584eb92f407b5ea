"""Labels of runs: what differs between their configurations."""

import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from cb.config import FIRST
from cb.config import SPECS
from cb.config import Config
from cb.registry import parse_spec

LONGEST = 60


def differences(configs: Sequence[Config]) -> dict[str, list[str]]:
    """Return the fields that differ, what matters first.

    Args:
        configs: Sequence of `Config`.

    Returns:
        Dict of field to a list of texts, one a run: of a spec its name, or
        those of its arguments that differ.
    """
    identities = [config.identity() for config in configs]
    columns = {
        field: [identity[field] for identity in identities]
        for field in dict.fromkeys([*FIRST, *identities[0]])
    }
    return {
        field: _texts(field, values)
        for field, values in columns.items()
        if any(value != values[0] for value in values)
    }


def distinct_names(folders: Sequence[str]) -> list[str]:
    """Return the shortest ends of paths that differ.

    Args:
        folders: Sequence of paths, all different.

    Returns:
        List of strings, such as `"run"`, or `"one/run"` beside `"two/run"`.
    """
    parts = [pathlib.Path(folder).resolve().parts for folder in folders]
    names = [path[-1] for path in parts]
    length = 1
    while twice := {name for name in names if names.count(name) > 1}:
        length += 1
        names = [
            str(pathlib.Path(*path[-length:])) if name in twice else name
            for path, name in zip(parts, names, strict=True)
        ]
        if length > max(map(len, parts)):
            break
    return names


def labels(
    differing: Mapping[str, Sequence[str]], names: Sequence[str]
) -> list[str]:
    """Return a label for each run.

    Args:
        differing: Dict of `differences`.
        names: Sequence of strings, the names of their folders. They are added
            where labels are equal.

    Returns:
        List of strings such as `"sparsity=0.9, rigl(every=50)"`, at most
        `LONGEST` characters of what differs.
    """
    rows = zip(
        *(
            [text if field in SPECS else f"{field}={text}" for text in texts]
            for field, texts in differing.items()
        ),
        strict=True,
    )
    texts = [", ".join(row) for row in rows] or [""] * len(names)
    texts = [
        text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
        for text in texts
    ]
    return [
        text if texts.count(text) == 1 and text else f"{text} {name}".strip()
        for text, name in zip(texts, names, strict=True)
    ]


def _texts(field: str, values: Sequence[Any]) -> list[str]:
    """Return what differs in one field, as short as it is clear."""
    if field not in SPECS:
        return [*map(str, values)]
    specs = [parse_spec(value) for value in values]
    alike: dict[str, list[dict[str, Any]]] = {}
    for spec in specs:
        alike.setdefault(spec.name, []).append(spec.kwargs)
    texts = []
    for spec in specs:
        others = alike[spec.name]
        differing = ", ".join(
            f"{key}={value!r}"
            for key, value in spec.kwargs.items()
            if any(other.get(key, other) != value for other in others)
        )
        if len(alike) == 1:
            texts.append(differing or str(spec))
        else:
            texts.append(
                f"{spec.name}({differing})" if differing else spec.name
            )
    return texts
