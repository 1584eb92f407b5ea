"""Writing files that are whole, or not there at all."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def replacing(
    file: str | os.PathLike[str], shared: bool = False
) -> Iterator[BinaryIO]:
    """Open a binary file that takes the place of `file` when complete.

    Readers of `file`, meanwhile or after a crash, see the old content or the
    new, never a part. The new content is on disk when the block ends.

    Args:
        file: Path of the file, in a folder that exists.
        shared: Boolean, whether other processes may be writing the same file
            at the same time; the last one to finish wins.

    Yields:
        Binary file, open for writing.

    Raises:
        OSError: If the file cannot be written; the old one is kept.

    Example:

    >>> with replacing("summary.json") as opened:
    ...     opened.write(b"{}")
    """
    file = pathlib.Path(file)
    # One name for all attempts, where possible: a killed process leaves its
    # part behind, and the next one overwrites it.
    process = f".{os.getpid()}" if shared else ""
    part = file.with_name(f".{file.name}{process}.part")
    try:
        with open(part, "wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(part, file)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    # The new name must reach the disk too.
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
