"""Seeds derived from a run's seed, a step and a place."""

import hashlib
import numbers

import numpy as np


def fold_in(*parts: int | str) -> int:
    """Derive a seed from integers and strings.

    Python's `hash` differs from process to process; this one is the same
    everywhere, so resumed and distributed runs draw the same numbers.

    Args:
        *parts: Integers and strings, e.g. the run's seed, a step and a key.

    Returns:
        Integer in `[0, 2**63)`.
    """
    text = "\x1f".join(map(_text, parts))
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def _text(part: int | str) -> str:
    # Equal integers are equal seeds, NumPy's too.
    if isinstance(part, numbers.Integral) and not isinstance(part, bool):
        return f"int:{int(part)}"
    return f"{type(part).__name__}:{part}"


def generator(*parts: int | str) -> np.random.Generator:
    """Return a NumPy generator seeded by `fold_in(*parts)`."""
    return np.random.Generator(np.random.Philox(fold_in(*parts)))
