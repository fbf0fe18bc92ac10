"""Looking at a path: is it there, is it a file, what lies below it; never a traceback.

Python 3.11's own `exists`, `is_file` and `is_dir` raise PermissionError where a folder on the way may not be
entered, and its `glob` passes over such folders without a word.
"""

import errno
import os
import stat
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

from clrepro.errors import DataError

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EBADF)


def exists(path: str | Path) -> bool:
    """Whether something is at `path`.  Raises: DataError in one line if that cannot be seen."""
    return _status(path) is not None


def is_file(path: str | Path) -> bool:
    """Whether a regular file, or a link to one, is at `path`.  Raises: as `exists`."""
    found = _status(path)
    return found is not None and stat.S_ISREG(found.st_mode)


def is_dir(path: str | Path) -> bool:
    """Whether a folder, or a link to one, is at `path`.  Raises: as `exists`."""
    found = _status(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def is_link(path: str | Path) -> bool:
    """Whether `path` itself is a symbolic link.  Raises: as `exists`."""
    found = _status(path, follow=False)
    return found is not None and stat.S_ISLNK(found.st_mode)


def walk(folder: Path) -> list[Path]:
    """All below `folder` that is no folder, links among it (never followed), sorted; [] if it is not there.

    Raises: DataError in one line if a folder cannot be listed.
    """
    found, problems = find(folder)
    if problems:
        raise DataError(problems[0])
    return found


def find(
    folder: Path, pattern: str = "*", *, folders_too: bool = False, top_only: bool = False
) -> tuple[list[Path], list[str]]:
    """What is no folder below `folder` and has a name that matches the glob `pattern`, sorted, links among
    it; and a line for each folder that cannot be listed.

    Folders behind links are not entered, but `folder` itself may be a link.
    """
    problems: list[str] = []

    def note(problem: OSError) -> None:
        if problem.errno not in _ABSENT:
            problems.append(cannot(problem, Path(problem.filename or folder), "listed"))

    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=note):
        names += [name for name in folders if folders_too or os.path.islink(os.path.join(place, name))]
        found += [Path(place, name) for name in names if fnmatchcase(name, pattern)]
        if top_only:
            break
    return sorted(found), problems


def cannot(problem: OSError, path: str | Path, done: str = "used") -> str:
    """The line for an error of the system: "<path>: cannot be used (Permission denied)"."""
    return f"{path}: cannot be {done} ({problem.strerror or problem})"


def _status(path: str | Path, *, follow: bool = True) -> os.stat_result | None:
    look: Callable[..., os.stat_result] = os.stat if follow else os.lstat
    try:
        return look(path)
    except OSError as problem:
        if problem.errno in _ABSENT:
            return None
        raise DataError(cannot(problem, _short(str(path)), "looked at")) from None
    except ValueError:  # a zero byte, or half a surrogate pair: no file has such a name
        return None


def _short(path: str) -> str:
    """A path that can be read; names of thousands of characters are cut."""
    return path if len(path) <= 300 else f"{path[:200]} … {path[-60:]}"
