"""Reading old pickles without running them: plain values, arrays and tensors come out, anything else is
refused.

A pickle is a program that may call any function by name.  Here a name is looked up in a short table of our
own functions, so nothing of the file's choosing is ever imported or called; tensors become numpy arrays.
"""

import collections
import datetime
import io
import math
import pickle
import pickletools
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError

MAX_BYTES = 1 << 30
MAX_REPEATED = 1 << 20  # elements of a tensor that shows one stored number at many places


class _Refused(Exception):
    """A global that the table does not hold."""


def load(path: Path, max_bytes: int = MAX_BYTES, encoding: str = "ASCII") -> Any:
    """Returns what a pickle file holds.

    Args: max_bytes — refuse larger files; encoding — of texts from Python 2, "latin1" where they are bytes.
    Raises: DataError naming the file, and the forbidden global if there is one.
    """
    try:
        if path.stat().st_size > max_bytes:
            raise DataError(f"{path}: {path.stat().st_size} bytes; expected at most {max_bytes}")
        data = path.read_bytes()
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror})") from None
    return loads(data, str(path), encoding)


def loads(data: bytes, name: str, encoding: str = "ASCII") -> Any:
    """Returns what the bytes of a pickle hold; `name` is for the messages.

    Admits: None, numbers, texts, bytes, dict, list, tuple, set, frozenset, OrderedDict, deque, dates and
    times, numpy arrays and scalars of numbers and texts, and torch tensors (returned as arrays).
    Raises: DataError for anything else, and for bytes that are no complete pickle.
    """
    try:
        _check_places(data)
        return _Reader(io.BytesIO(data), encoding=encoding).load()
    except _Refused as refused:
        raise DataError(
            f"{name}: asks for {refused}, which is no plain value; only data is read, nothing is run"
        ) from None
    except DataError as problem:
        raise DataError(f"{name}: {problem}") from None
    except Exception as problem:  # damage shows as almost any kind of error; the text says which
        reason = " ".join(str(problem).split())[:120] or type(problem).__name__
        raise DataError(f"{name}: not a complete pickle of plain values ({reason})") from None


# A pickle numbers what it wants to use again.  The reader makes a table as long as the largest number, so
# five bytes could ask for any amount of memory; an honest number is below the length of the file.
_NUMBERING = re.compile(rb"(?=r(.{4})|p([0-9]+)\n)", re.DOTALL)


def _check_places(data: bytes) -> None:
    """Raises: DataError if an object gets a number that the file cannot hold so many objects for."""
    candidates = (
        int.from_bytes(match[1], "little") if match[1] is not None else int(match[2][:20])
        for match in _NUMBERING.finditer(data)
    )
    if not any(number > len(data) for number in candidates):
        return
    # Bytes that look like it may be part of an array: only now is it worth telling operations from contents.
    for operation, argument, _ in pickletools.genops(data):
        if operation.name in ("PUT", "LONG_BINPUT") and (argument or 0) > len(data):
            raise DataError(f"numbers an object {argument}, in a file of {len(data)} bytes")


class _Reader(pickle.Unpickler):
    """Resolves the names in `_GLOBALS` and no others."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _GLOBALS[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> NoReturn:
        raise _Refused("an object outside the file")


# --- numpy --------------------------------------------------------------------------------------------------


class _Dtype:
    """Stands for numpy.dtype while a pickle describes one: numbers, truth values, bytes and texts only."""

    def __init__(self, kind: Any, align: Any = False, copy: Any = False) -> None:
        text = kind.decode("ascii") if isinstance(kind, bytes) else kind
        if not isinstance(text, str) or text[:1] not in "biufcSU" or not text[1:].isdigit():
            raise DataError(f"array of {kind!r}: only arrays of numbers and texts are read")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, None: no sub-array, no names, no fields, ...)
        order, parts = state[1], state[2:5]
        if any(part is not None for part in parts):
            raise DataError("array of records: only arrays of numbers and texts are read")
        text = order.decode("ascii") if isinstance(order, bytes) else order
        if text == ">":
            self.dtype = self.dtype.newbyteorder(">")


class _Array(np.ndarray[Any, Any]):
    """An array whose contents arrive as its pickled state."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        filled = _from_bytes(data, dtype, shape, "F" if fortran else "C")
        super().__setstate__((1, filled.shape, filled.dtype, False, filled.tobytes()))  # type: ignore[arg-type]


def _from_bytes(data: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    if isinstance(data, str):  # Python 2's bytes, read as text
        data = data.encode("latin1")
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes | bytearray):
        raise DataError("an array whose contents are not bytes")
    flat = np.frombuffer(data, dtype.dtype).astype(dtype.dtype.newbyteorder("="))
    return flat.reshape(_shape(shape), order="F" if order == "F" else "C")


def _shape(shape: Any) -> tuple[int, ...]:
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not all(isinstance(size, int) and size >= 0 for size in sizes):
        raise DataError(f"array of shape {sizes!r}")
    return sizes


def _reconstruct(subtype: Any, shape: Any, kind: Any) -> _Array:
    return _Array((0,), np.int8)  # its state follows; until then it holds nothing


def _scalar(dtype: Any, data: Any = b"") -> Any:
    return _from_bytes(data, dtype, (1,), "C")[0]


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> NDArray[Any]:
    return _from_bytes(bytes(data), dtype, shape, order)


def _encode(text: Any, codec: Any = "latin1") -> bytes:
    if codec not in ("latin1", "latin-1") or not isinstance(text, str):
        raise DataError(f"bytes written as text in {codec!r}; only latin1")
    return text.encode("latin1")


def _bytes(*arguments: Any) -> bytes:
    if arguments:
        raise DataError("bytes made by a call")
    return b""


def _bytearray(*arguments: Any) -> bytearray:
    if not arguments:
        return bytearray()
    data, codec = (*arguments, "latin1")[:2]
    return bytearray(data if isinstance(data, bytes) else _encode(data, codec))


def _complex(real: Any, imaginary: Any) -> complex:
    return complex(float(real), float(imaginary))


# --- torch --------------------------------------------------------------------------------------------------

_STORAGES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1",
    "BoolStorage": "<b1",
}  # fmt: skip


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> NDArray[Any]:
    """torch._utils._rebuild_tensor_v2 on numpy: a view of the storage, checked to stay inside it, copied."""
    if not isinstance(storage, np.ndarray):
        raise DataError("a tensor without a storage")
    size, stride = _shape(size), _shape(stride)
    start = _shape(offset)[0]
    last = start + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 in size:
        return np.zeros(size, storage.dtype)
    if math.prod(size) > max(len(storage), MAX_REPEATED):
        raise DataError(f"a tensor of {size} that repeats a storage of {len(storage)}")
    if last >= len(storage):
        raise DataError(f"a tensor of {size} over a storage of {len(storage)}")
    steps = tuple(step * storage.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(storage[start:], size, steps).copy()


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _storage(data: Any) -> NDArray[Any]:
    """torch.storage._load_from_bytes: a file of torch's inside the pickle, in its old or its new layout."""
    if not isinstance(data, bytes):
        raise DataError("a torch storage whose contents are not bytes")
    found = _zip_storage(data) if zipfile.is_zipfile(io.BytesIO(data)) else _stream_storage(data)
    if not isinstance(found, np.ndarray):
        raise DataError("a torch file that holds no storage")
    return found


def _zip_storage(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        (root,) = [name[: -len("data.pkl")] for name in names if name.endswith("data.pkl")]

        def stored(key: str, dtype: str, n: int) -> NDArray[Any]:
            info = archive.getinfo(f"{root}data/{key}")
            if info.file_size > MAX_BYTES:
                raise DataError(f"a storage of {info.file_size} bytes")
            return np.frombuffer(archive.read(info), dtype, n)

        if archive.getinfo(f"{root}data.pkl").file_size > len(data):
            raise DataError("a torch file whose table is compressed")
        table = archive.read(f"{root}data.pkl")
        _check_places(table)
        return _TorchReader(io.BytesIO(table), stored).load()


def _stream_storage(data: bytes) -> Any:
    """Five pickles (magic number, version, system, object, keys), then each storage: its length and bytes."""
    file = io.BytesIO(data)
    wanted: dict[str, NDArray[Any]] = {}

    def stored(key: str, dtype: str, n: int) -> NDArray[Any]:
        if n * np.dtype(dtype).itemsize > len(data):
            raise DataError(f"a storage of {n} elements in {len(data)} bytes")
        return wanted.setdefault(key, np.zeros(n, dtype))

    def following() -> Any:
        _check_places(data[file.tell() :])
        return _TorchReader(file, stored).load()

    _, _, _, found, keys = (following() for _ in range(5))
    for key in keys:
        (n,) = struct.unpack("<q", file.read(8))
        held = wanted[key]
        if n != len(held):
            raise DataError(f"a storage of {n} elements where {len(held)} were announced")
        held[...] = np.frombuffer(file.read(n * held.itemsize), held.dtype)
    return found


class _TorchReader(_Reader):
    """As `_Reader`; a persistent id names a storage, which `stored` fetches."""

    def __init__(self, file: io.BytesIO, stored: Callable[[str, str, int], NDArray[Any]]) -> None:
        super().__init__(file, encoding="utf-8")
        self._stored = stored

    def persistent_load(self, pid: Any) -> Any:
        kind, storage, key, _, n = tuple(pid)[:5]
        if kind != "storage" or not isinstance(storage, _StorageName) or not isinstance(n, int) or n < 0:
            raise _Refused("an object outside the file")
        return self._stored(str(key), storage.dtype, n)


class _StorageName:
    """Stands for a torch storage class: the type of its elements."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype


_NUMPY_HOMES = ("numpy.core.multiarray", "numpy._core.multiarray")
_GLOBALS: Mapping[tuple[str, str], Any] = MappingProxyType(
    {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("collections", "deque"): collections.deque,
        ("_codecs", "encode"): _encode,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch._utils", "_rebuild_parameter"): _parameter,
        ("torch.storage", "_load_from_bytes"): _storage,
    }
    | {(home, "_reconstruct"): _reconstruct for home in _NUMPY_HOMES}
    | {(home, "scalar"): _scalar for home in _NUMPY_HOMES}
    | {(home, "_frombuffer"): _frombuffer for home in ("numpy.core.numeric", "numpy._core.numeric")}
    | {("datetime", k): getattr(datetime, k) for k in ("datetime", "date", "time", "timedelta", "timezone")}
    | {
        (home, kind.__name__): kind
        for home in ("builtins", "__builtin__")
        for kind in (set, frozenset, list, dict, tuple, int, float, bool)
    }
    | {(home, "bytes"): _bytes for home in ("builtins", "__builtin__")}
    | {(home, "bytearray"): _bytearray for home in ("builtins", "__builtin__")}
    | {(home, "complex"): _complex for home in ("builtins", "__builtin__")}
    | {("torch", name): _StorageName(dtype) for name, dtype in _STORAGES.items()}
)
