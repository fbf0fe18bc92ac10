"""Reading files that somebody else put there: no pipe, no device, nothing without an end.

Opening a named pipe waits for a writer that may never come, and a link to /dev/zero never ends.  Every reader
of the suite therefore opens its files here, by a limit that no good file of its kind reaches.
"""

import io
import os
import stat
from pathlib import Path

from clrepro.errors import DataError

# A pipe must not make us wait in the moment between looking and opening.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def open_regular_file(path: Path, most_bytes: int) -> io.BufferedReader:
    """Returns an open stream of a regular file, or of the one that a link leads to.

    Args: most_bytes — refuse a longer file.
    Raises: FileNotFoundError if nothing is there, for readers that know what to do then; DataError in one
        line for a folder, pipe, socket or device, a longer file, and one that cannot be read.
    """
    try:
        _check(path, os.stat(path), most_bytes)  # a device may act on being opened alone
        file = os.fdopen(os.open(path, _FLAGS), "rb")
        try:
            _check(path, os.fstat(file.fileno()), most_bytes)
        except DataError:
            file.close()
            raise
        return file
    except FileNotFoundError:
        raise
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror})") from None
    except ValueError:  # a null byte in the name
        raise DataError(f"{str(path)!r}: no name of a file") from None


def read_regular_file(path: Path, most_bytes: int, missing: str = "cannot be read (no such file)") -> bytes:
    """Returns the bytes of a regular file, or of the one that a link leads to.

    Args: most_bytes — refuse a longer file; missing — what to say where nothing is there.
    Raises: DataError in one line for anything else.
    """
    try:
        with open_regular_file(path, most_bytes) as file:
            # No more at once than the file says it has: a buffer of `most_bytes` may not fit into memory.
            data = file.read(os.fstat(file.fileno()).st_size)
            while len(data) <= most_bytes and (more := file.read(1 << 20)):
                data += more  # it grew, or is of a file system that states no lengths (/proc)
    except FileNotFoundError:
        raise DataError(f"{path}: {missing}") from None
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror})") from None
    if len(data) > most_bytes:
        raise DataError(f"{path}: more than {most_bytes} bytes")
    return data


def read_regular_text(path: Path, most_bytes: int, missing: str = "cannot be read (no such file)") -> str:
    """Returns the text of a regular UTF-8 file, as `read_regular_file`.

    Raises: DataError also for other bytes than UTF-8.
    """
    try:
        return read_regular_file(path, most_bytes, missing).decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text in UTF-8") from None


def check_regular_file(path: Path, most_bytes: int, missing: str = "cannot be read (no such file)") -> None:
    """Make sure of a file that a library opens by its name.  Raises: DataError as `read_regular_file`."""
    try:
        open_regular_file(path, most_bytes).close()
    except FileNotFoundError:
        raise DataError(f"{path}: {missing}") from None


def _check(path: Path, found: os.stat_result, most_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, socket or device"
        raise DataError(f"{path}: is {kind}, expected a regular file")
    if found.st_size > most_bytes:
        raise DataError(f"{path}: {found.st_size} bytes; expected at most {most_bytes}")
