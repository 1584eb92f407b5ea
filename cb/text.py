"""Text for people to read."""

from collections.abc import Sequence


def table(lines: Sequence[tuple[str, ...]], numbers: tuple[int, ...]) -> str:
    """Lay out lines of cells as text, the columns of numbers to the right.

    Args:
        lines: Tuples of strings, all as long as the first.
        numbers: Tuple of integers, which columns hold numbers.

    Returns:
        String of as many lines.
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if column in numbers else text.ljust(width)
            for column, (text, width) in enumerate(
                zip(line, widths, strict=True)
            )
        ).rstrip()
        for line in lines
    )
