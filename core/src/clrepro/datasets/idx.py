"""Reader of the idx format (MNIST, Fashion-MNIST), plain or gzip-compressed, strict about every byte."""

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError

MAX_BYTES = 1 << 30  # a compressed file may claim anything: stop before memory does
_UINT8 = 8


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Returns the unsigned-byte array in an idx file, with the shape its header states.

    Args: path — the file; a name ending in .gz is decompressed.
    Raises: DataError if it is missing, truncated, longer than stated, not idx, or not of unsigned bytes.
    Source: the format note on the MNIST page: bytes 0 0 type rank, then rank big-endian 32-bit sizes, then
    the data.
    """
    data = _content(path)
    if len(data) < 4 or data[0] or data[1]:
        raise DataError(
            f"{path}: not an idx file (it starts with {data[:4].hex() or 'nothing'}, expected 0000...)"
        )
    kind, rank = data[2], data[3]
    if kind != _UINT8 or not 1 <= rank <= 4:
        raise DataError(
            f"{path}: idx type {kind:#04x} with {rank} dimensions; expected unsigned bytes (0x08), 1 to 4"
        )
    start = 4 + 4 * rank
    if len(data) < start:
        raise DataError(f"{path}: truncated in its header ({len(data)} bytes of {start})")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", rank, 4))
    if len(data) - start != prod(shape):
        raise DataError(
            f"{path}: holds {len(data) - start} bytes, but its header {shape} asks for {prod(shape)}"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()


def _content(path: Path) -> bytes:
    """The file's bytes, decompressed up to MAX_BYTES."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); delete it and fetch it again") from None
    if len(data) > MAX_BYTES:
        raise DataError(
            f"{path}: more than {MAX_BYTES} bytes of content; no idx file of these data sets is so large"
        )
    return bytes(data)
