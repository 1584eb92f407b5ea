"""The sparsity of a model: one number, or one for each pattern."""

from collections.abc import Mapping

from cb.errors import InputError

Sparsity = float | str | Mapping[str, float]


def parse_sparsity(value: Sparsity) -> float | dict[str, float]:
    """Read a sparsity: a number, or one for each kind or name of layers.

    Args:
        value: Float, mapping, or string such as `"0.9"` or
            `"conv=0.5,dense=0.98"`.

    Returns:
        Float or dict of pattern to float.

    Raises:
        InputError: If a number is malformed or out of range.
    """
    if isinstance(value, str) and "=" in value:
        pairs = [part.rsplit("=", 1) for part in value.split(",")]
        if any(len(pair) != 2 for pair in pairs):
            raise _bad_sparsity(value)
        return {key.strip(): _fraction(number) for key, number in pairs}
    if isinstance(value, Mapping) and value:
        return {key: _fraction(number) for key, number in value.items()}
    return _fraction(value)


def as_text(value: Sparsity) -> str:
    """Write a sparsity as on the command line."""
    if isinstance(value, Mapping):
        return ",".join(f"{key}={part}" for key, part in value.items())
    return str(value)


def _fraction(value) -> float:
    if isinstance(value, bool):
        raise _bad_sparsity(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise _bad_sparsity(value) from None
    if not 0.0 <= number < 1.0:
        raise _bad_sparsity(value)
    return number


def _bad_sparsity(value) -> InputError:
    return InputError(
        "Argument `sparsity` must be a number in [0, 1), or one for each "
        "pattern such as 'conv=0.5,dense=0.98'. "
        f"Received: sparsity={value!r}"
    )
