"""Names of folders, for libraries that cannot read every name."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator

from cb.errors import argument_error


@contextlib.contextmanager
def plain_name(folder: str | os.PathLike[str]) -> Iterator[str]:
    """Give a folder a name without special characters, for a while.

    TensorFlow and keras-tuner look for files by patterns, in which brackets,
    stars and backslashes in the name of a folder mean something else.

    Args:
        folder: Path of a folder that exists.

    Yields:
        String: its path, or that of a symbolic link to it.
    """
    path = os.path.abspath(folder)
    if not re.search(r"[][*?\\{}]", path):
        yield os.fspath(folder)
        return
    with tempfile.TemporaryDirectory() as links:
        link = os.path.join(links, "folder")
        os.symlink(path, link)
        yield link


def require_text(argument: str, folder: str | os.PathLike[str]) -> None:
    """Refuse the name of a folder that cannot be written in UTF-8.

    TensorFlow writes to no other.

    Args:
        argument: String, which argument it is.
        folder: Path.

    Raises:
        InputError: If there are bytes of another encoding in it.
    """
    try:
        os.path.abspath(folder).encode("utf-8")
    except UnicodeEncodeError as error:
        raise argument_error(
            argument,
            "a path in UTF-8 (PYTHONUTF8=1 makes Python read it as such)",
            os.fspath(folder),
        ) from error
