"""Members of a tar archive one after the other, never unpacked to disk; or the same files in a folder."""

import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from clrepro.errors import DataError


def read_files(
    path: Path, wanted: Callable[[str], bool], max_member: int, max_archive: int
) -> Iterator[tuple[str, bytes]]:
    """Yields (name, bytes) of the files whose name is wanted, from an archive or a folder.

    Args: wanted — of names with `/`, relative to the archive or folder; max_member — bytes of one file;
        max_archive — bytes of all files together, unpacked.
    Raises: DataError if it cannot be read, is damaged, or is larger than allowed.
    """
    if path.is_file():
        return _from_archive(path, wanted, max_member, max_archive)
    return folder_files(path, wanted, max_member)


def _from_archive(
    path: Path, wanted: Callable[[str], bool], max_member: int, room: int
) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                room -= member.size  # passing over a member unpacks it too
                if room < 0:
                    raise DataError(f"{path}: unpacks to more than this data set has")
                name = member.name.removeprefix("./")
                if not member.isfile() or not wanted(name):
                    continue
                if member.size > max_member:
                    raise DataError(f"{path}: {name} claims {member.size} bytes")
                stream = archive.extractfile(member)
                if stream is not None:
                    yield name, stream.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as problem:
        raise DataError(f"{path}: not a readable archive ({problem}); fetch it again") from None


def folder_files(path: Path, wanted: Callable[[str], bool], max_member: int) -> Iterator[tuple[str, bytes]]:
    """Yields (name, bytes) of a folder's files whose name is wanted, sorted by name.

    Raises: DataError if one cannot be read or is larger than max_member bytes.
    """
    try:
        # Sorted as texts, as the names in an archive are: paths would sort by their parts.
        for name in sorted(file.relative_to(path).as_posix() for file in path.rglob("*")):
            file = path / name
            if wanted(name) and file.is_file():
                if file.stat().st_size > max_member:
                    raise DataError(f"{file}: {file.stat().st_size} bytes; no file of these sets is so large")
                yield name, file.read_bytes()
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror})") from None
