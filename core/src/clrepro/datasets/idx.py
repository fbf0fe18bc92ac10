"""Reader of the idx format (MNIST, Fashion-MNIST), plain or gzip-compressed, strict about every byte."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError
from clrepro.io.regular_files import open_regular_file

MAX_BYTES = 1 << 27  # a compressed file may claim anything; the largest official one unpacks to 47 MB
MAX_RANK = 4
_UINT8 = 8


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Returns the unsigned-byte array in an idx file, with the shape its header states.

    Args: path — the file; a name ending in .gz is decompressed.
    Raises: DataError if it is missing, truncated, longer than stated, not idx, or not of unsigned bytes.
    Source: the format note on the MNIST page: bytes 0 0 type rank, then rank big-endian 32-bit sizes, then
    the data.
    """
    try:
        with _opened(path) as file:
            return _read(path, file)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); delete it and fetch it again") from None


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with open_regular_file(path, MAX_BYTES + 4 + 4 * MAX_RANK) as file:
        if path.suffix != ".gz":
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield unpacked


def _read(path: Path, file: IO[bytes]) -> NDArray[np.uint8]:
    """The array of an open file: the header first, so that no more is unpacked than it asks for."""
    start = file.read(4)
    if len(start) < 4 or start[0] or start[1]:
        raise DataError(
            f"{path}: not an idx file (it starts with {start.hex() or 'nothing'}, expected 0000...)"
        )
    kind, rank = start[2], start[3]
    if kind != _UINT8 or not 1 <= rank <= MAX_RANK:
        raise DataError(
            f"{path}: idx type {kind:#04x} with {rank} dimensions; expected unsigned bytes (0x08), "
            f"1 to {MAX_RANK}"
        )
    sizes = file.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise DataError(f"{path}: truncated in its header ({4 + len(sizes)} bytes of {4 + 4 * rank})")
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    # Numpy makes no array of (0, 2**32 - 1, 2**32 - 1), though it would be empty.
    if prod(size for size in shape if size) > MAX_BYTES:
        raise DataError(
            f"{path}: header {shape}; no idx file of these data sets has more than {MAX_BYTES} bytes"
        )
    array = np.empty(shape, np.uint8)
    held, room = 0, memoryview(array.reshape(-1).data)
    while held < len(room) and (n := file.readinto(room[held:])):  # type: ignore[attr-defined]
        held += n
    over = file.read(1)
    if held < len(room) or over:
        shown = f"more than {held}" if over else held
        raise DataError(f"{path}: holds {shown} bytes, but its header {shape} asks for {len(room)}")
    return array
