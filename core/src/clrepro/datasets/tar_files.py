"""Members of a tar archive one after the other, never unpacked to disk; or the same files in a folder."""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from clrepro.errors import DataError
from clrepro.io.regular_files import open_regular_file, read_regular_file

# Damage shows as any of these: tarfile takes numbers and names from the file as they are.
DAMAGE = (
    tarfile.TarError,
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    ValueError,
    OverflowError,
    RecursionError,
)
_PACKED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}


MAX_PIECE = 1 << 28  # bytes that are in memory at once
MAX_HEADER = 1 << 20  # of a member's name and attributes
FEW, MANY = 1_000, 20_000  # files and folders of an archive of batches, of one of images (notMNIST: 18,736)


class Archive:
    """A tar archive that is read once from its beginning to its end.

    Args: stream — the unpacked archive; max_member — bytes of one file in it; max_members — how many.
    """

    def __init__(self, path: Path, stream: Any, max_member: int, max_members: int) -> None:
        self._path, self._stream, self._max, self._max_members = path, stream, max_member, max_members

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        """Yields the members in their order.  Raises: DataError for one that is too large."""
        with tarfile.open(fileobj=self._stream, mode="r:") as self._tar:
            number = 0
            while (member := self._next()) is not None:
                number += 1
                if number > self._max_members or member.issparse():
                    kind = "a sparse file" if member.issparse() else f"more than {self._max_members} files"
                    raise DataError(f"{self._path}: holds {kind}; no archive of these data sets does")
                if not 0 <= member.size <= self._max:
                    raise DataError(
                        f"{self._path}: {member.name[:80]} claims {member.size} bytes, too many for this set"
                    )
                yield member
        # The archive's end comes before that of the compressed stream, which holds its checksum.
        while self._stream.read(1 << 20):
            pass

    def _next(self) -> tarfile.TarInfo | None:
        """The next member; what comes before its content must be short, and members passed are forgotten."""
        piece, self._stream.piece = self._stream.piece, MAX_HEADER
        try:
            member: tarfile.TarInfo | None = self._tar.next()
        finally:
            self._stream.piece = piece
        self._tar.members = []  # type: ignore[attr-defined]  # else a hundred thousand names stay in memory
        return member

    def open(self, member: tarfile.TarInfo) -> IO[bytes]:
        """Returns a stream of the content of the member that came last."""
        stream = self._tar.extractfile(member)
        if stream is None:
            raise DataError(f"{self._path}: {member.name[:80]} is no file")
        return stream

    def read(self, member: tarfile.TarInfo) -> bytes:
        """Returns the content of the member that came last."""
        return self.open(member).read()


class _Bounded:
    """A stream that gives so much and no more: passing over a member unpacks it, and so does a long name."""

    def __init__(self, path: Path, stream: IO[bytes], max_piece: int, room: int) -> None:
        self._path, self._stream, self.piece, self._room = path, stream, max_piece, room

    def read(self, size: int = -1) -> bytes:
        """Raises: DataError for too large a piece, or when all pieces together are too many."""
        if not 0 <= size <= self.piece:
            raise DataError(f"{self._path}: asks for {size} bytes at once, too many for this set")
        data = self._stream.read(size)
        self._check(self._stream.tell())
        return data

    def seek(self, position: int, whence: int = 0) -> int:
        """Raises: DataError behind the end of what is allowed, before anything is unpacked."""
        self._check(position)
        return self._stream.seek(position, whence)

    def tell(self) -> int:
        """The place in the unpacked archive."""
        return self._stream.tell()

    def _check(self, position: int) -> None:
        if position > self._room:
            raise DataError(f"{self._path}: unpacks to more than this data set has")


@contextmanager
def opened(path: Path, max_member: int, max_archive: int, max_members: int = FEW) -> Iterator[Archive]:
    """A tar archive, packed or not, for a `with` block.

    Args: max_member — bytes of one file; max_archive — bytes of all files together, unpacked; max_members —
        files and folders.
    Raises: DataError if it cannot be read, is damaged, or is larger than allowed.
    """
    try:
        with open_regular_file(path, 2 * max_archive + MAX_PIECE) as file:
            start = file.read(6)
            file.seek(0)
            unpack = next((way for mark, way in _PACKED.items() if start.startswith(mark)), None)
            stream = file if unpack is None else unpack(file, "rb")
            with stream:
                room = max(1 << 20, min(max_member, MAX_PIECE))
                yield Archive(path, _Bounded(path, stream, room, max_archive), max_member, max_members)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except DAMAGE as problem:
        raise DataError(f"{path}: not a readable archive ({str(problem)[:160]}); fetch it again") from None


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
    with opened(path, max_member, room, MANY) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if member.isfile() and wanted(name):
                yield name, archive.read(member)


def folder_files(path: Path, wanted: Callable[[str], bool], max_member: int) -> Iterator[tuple[str, bytes]]:
    """Yields (name, bytes) of a folder's files whose name is wanted, sorted by name.

    Raises: DataError if one cannot be read or is larger than max_member bytes.
    """
    try:
        # Sorted as texts, as the names in an archive are: paths would sort by their parts.
        for name in sorted(file.relative_to(path).as_posix() for file in path.rglob("*")):
            file = path / name
            if wanted(name) and not file.is_dir():
                yield name, read_regular_file(file, max_member)
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror})") from None
