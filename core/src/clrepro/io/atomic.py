"""Files that are replaced whole: after a crash at any point a reader finds the old bytes or the new.

What is written goes to a temporary name in the same folder, is flushed to the disk and renamed.
"""

import contextlib
import os
import re
import secrets
from pathlib import Path

from clrepro.errors import DataError
from clrepro.io.paths import find, is_link

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{4,16}\.tmp")  # as `write_temporary` makes them


def make_folder(path: Path) -> Path:
    """Create the folder `path` with its parents.  Returns it.  Raises: DataError in one line."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise DataError(
            f"{path}: cannot be made a folder ({problem.strerror}); choose another place"
        ) from None
    return path


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file `path` by `data`: after a crash at any point it holds the old bytes or the new.

    Raises: DataError in one line (disk full, read-only, no such folder); the temporary file is then removed.
    """
    temporary = write_temporary(path, data)
    try:
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as problem:
        temporary.unlink(missing_ok=True)
        raise DataError(f"{path}: cannot be written ({problem.strerror})") from None


def is_temporary(path: Path) -> bool:
    """Whether `path` is a file under a temporary name of `write_atomically`, as a killed writer leaves it."""
    return _TEMPORARY.fullmatch(path.name) is not None and not is_link(path)


def remove_temporaries(folder: Path, *, top_only: bool = False) -> None:
    """Remove the temporary files that killed writers left below `folder`; call it under a lock.

    Files of other names are a user's own, and links are not followed.
    """
    for path in find(folder, ".*.tmp", top_only=top_only)[0]:
        if is_temporary(path):
            path.unlink(missing_ok=True)


def write_temporary(path: Path, data: bytes) -> Path:
    """Write and flush `data` under a new name beside `path`.  Raises: DataError; nothing is left then."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise DataError(f"{path}: cannot be written ({problem.strerror})") from None
    return temporary


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
