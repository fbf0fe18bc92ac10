"""What is ours to delete: a folder with our stamp in it, and in a folder of data the files its stamp lists.

Everything else (a user's file, a link and what it leads to) is refused in one line before any work.  A folder
is stamped when it is made, before anything else is in it.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from clrepro.errors import DataError
from clrepro.io.atomic import is_temporary, make_folder
from clrepro.io.paths import exists, is_dir, is_link, walk


def refuse_links(root: Path, path: Path) -> None:
    """See that no folder from `root` (left out) down to `path` is a symbolic link.  Raises: DataError."""
    for part in [*reversed(path.relative_to(root).parents), path.relative_to(root)][1:]:
        if is_link(root / part):
            target = os.readlink(root / part)
            raise DataError(
                f"{root / part}: is a symbolic link (to {target}), and nothing is deleted through links;"
                " remove it, or choose another folder"
            )


def refuse_foreign(folder: Path, listed: Iterable[str], stamp: str) -> None:
    """See that `folder` holds nothing but the files `listed` (relative, with "/"), the file `stamp`, and what
    a killed writer of ours left.  Raises: DataError naming the first that is foreign.
    """
    if exists(folder) and not is_dir(folder):
        raise DataError(f"{folder}: is no folder; move it away or choose another place")
    known = {*listed, stamp}
    for path in walk(folder):
        if is_link(path):
            raise DataError(f"{path}: is a symbolic link, which no program of ours makes; move it away")
        if path.relative_to(folder).as_posix() not in known and not is_temporary(path):
            raise DataError(
                f"{path}: was not made by this program, and its folder would be made anew;"
                " move the file away or choose another place"
            )


def remove_listed(folder: Path, listed: Iterable[str], stamp: str) -> None:
    """Delete the files `listed` of `folder`, then its stamp, then the folders that are empty by then.

    The stamp goes last, so that a kill leaves nothing that it does not list.  Call `refuse_foreign` before.
    Raises: DataError if something cannot be deleted.
    """
    left_by_killed = [path for path in walk(folder) if is_temporary(path)]
    try:
        for path in (*(folder / name for name in listed), *left_by_killed, folder / stamp):
            path.unlink(missing_ok=True)
        for place, _, _ in os.walk(folder, topdown=False):
            with contextlib.suppress(OSError):  # not empty: somebody has put something there just now
                os.rmdir(place)
    except OSError as problem:
        raise DataError(f"{problem.filename}: cannot be removed ({problem.strerror})") from None


def remove_stamped(folder: Path, stamp: str) -> None:
    """Delete the folder with all that is in it, if its file `stamp` says that we made it, or it is empty.

    Raises: DataError if it is a link, no folder, or without stamp.
    """
    if is_link(folder) or (exists(folder) and not is_dir(folder)):
        raise DataError(f"{folder}: is no folder of this program; move it away")
    if not exists(folder):
        return
    if not exists(folder / stamp) and (strange := [path for path in walk(folder) if not is_temporary(path)]):
        raise DataError(
            f"{strange[0]}: lies where this program works, and it did not make it (no {stamp} beside it);"
            " move it away or choose another place"
        )
    try:
        shutil.rmtree(folder)  # follows no links
    except OSError as problem:
        raise DataError(f"{problem.filename}: cannot be removed ({problem.strerror})") from None


def set_aside(folder: Path) -> Path | None:
    """Rename the folder to the first free `<name>.before-<n>`; None if it is empty or not there.

    For results: a user may have added to them or want them back, so they are never deleted.
    Raises: DataError if it is a link or cannot be renamed.
    """
    if is_link(folder):
        raise DataError(f"{folder}: is a symbolic link; move it away")
    if not exists(folder) or not any(folder.iterdir()):
        return None
    number = 1
    while exists(aside := folder.with_name(f"{folder.name}.before-{number}")):
        number += 1
    try:
        folder.rename(aside)
    except OSError as problem:
        raise DataError(f"{folder}: cannot be set aside ({problem.strerror})") from None
    return aside


def fresh_folder(folder: Path, stamp: str) -> Path:
    """`folder`, made anew and empty; what an earlier one of ours holds is deleted.  Raises: DataError."""
    remove_stamped(folder, stamp)
    return make_folder(folder)
