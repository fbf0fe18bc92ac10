"""Reading old pickles without running them: plain values, arrays and tensors come out, anything else is
refused.

A pickle is a program that may call any function by name.  Three things keep it harmless: its operations are
first followed without being done, so that no few bytes can ask for endless memory, time or depth; a name is
looked up in a short table of our own functions, so nothing of the file's choosing is imported or called; and
what comes out is looked through for anything but plain values.  Tensors become numpy arrays.
"""

import collections
import contextvars
import datetime
import io
import math
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError
from clrepro.io.pickle_scan import MAX_DEPTH, MAX_UNFOLDED, SMALL, follow
from clrepro.io.pickled_values import (
    NDARRAY,
    Array,
    Call,
    Dtype,
    empty_bytes,
    encode,
    from_buffer,
    reconstruct,
    scalar,
    sizes_of,
    to_bytearray,
    to_complex,
)
from clrepro.io.regular_files import read_regular_file

MAX_BYTES = 1 << 30
MAX_BITS = 1 << 12  # of an integer; Python writes out none of more than 4,300 digits
Fetch = Callable[[str, str, int], NDArray[Any]]


class _Refused(Exception):
    """A global that the table does not hold."""


def load(path: Path, max_bytes: int = MAX_BYTES, encoding: str = "ASCII") -> Any:
    """Returns what a pickle file holds.

    Args: max_bytes — refuse larger files; encoding — of texts from Python 2, "latin1" where they are bytes.
    Raises: DataError naming the file, and the forbidden global if there is one.
    """
    return loads(read_regular_file(path, max_bytes), str(path), encoding)


def loads(data: bytes, name: str, encoding: str = "ASCII") -> Any:
    """Returns what the bytes of a pickle hold; `name` is for the messages.

    Admits: None, numbers, texts, bytes, dict, list, tuple, set, frozenset, OrderedDict, deque, dates and
    times, numpy arrays, scalars and dtypes of numbers and texts, and torch tensors (returned as arrays).
    Raises: DataError for anything else, and for bytes that are no complete pickle.
    """
    try:
        return _read(io.BytesIO(data), encoding)
    except _Refused as refused:
        raise DataError(
            f"{name}: asks for {refused}, which is no plain value; code in files is never run here"
        ) from None
    except DataError as problem:
        raise DataError(f"{name}: {problem}") from None
    except Exception as problem:  # damage shows as almost any kind of error; the text says which
        reason = " ".join(str(problem).split())[:120] or type(problem).__name__
        raise DataError(f"{name}: not a complete pickle of plain values ({reason})") from None


def _read(file: io.BytesIO, encoding: str, fetch: Fetch | None = None) -> Any:
    """The next pickle of a file, which is left behind it."""
    start = file.tell()
    follow(file.getvalue(), start)
    file.seek(start)
    return _plain(_Reader(file, encoding, fetch).load(), {}, 0)


# --- during: names ------------------------------------------------------------------------------------------


class _Reader(pickle.Unpickler):
    """Resolves the names in `_GLOBALS` and no others; `fetch` gives the storage that a torch file names."""

    def __init__(self, file: io.BytesIO, encoding: str, fetch: Fetch | None) -> None:
        super().__init__(file, encoding=encoding)
        self._fetch = fetch
        self._room = SMALL + MAX_UNFOLDED * len(file.getvalue())

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return Call(self._tensor)
        try:
            return _GLOBALS[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        if self._fetch is None:
            raise _Refused("an object outside the file")
        kind, storage, key, _, n = tuple(pid)[:5]
        if kind != "storage" or not isinstance(storage, _StorageName) or not isinstance(n, int) or n < 0:
            raise _Refused("an object outside the file")
        if not isinstance(key, str):
            raise DataError("a torch storage without a name")
        return self._fetch(key, storage.dtype, n)

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> NDArray[Any]:
        """torch._utils._rebuild_tensor_v2 on numpy: a view of the storage, checked to stay inside, copied."""
        if not isinstance(storage, np.ndarray):
            raise DataError("a tensor without a storage")
        size, stride = sizes_of(size), sizes_of(stride)
        start = sizes_of(offset)[0]
        last = start + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if 0 in size:
            return np.zeros(size, storage.dtype)
        if last >= len(storage):
            raise DataError(f"a tensor that reaches to element {last} of a storage of {len(storage)}")
        self._room -= math.prod(size)
        if self._room < 0:
            raise DataError(f"tensors that repeat a storage of {len(storage)} over and over")
        steps = tuple(step * storage.itemsize for step in stride)
        return np.lib.stride_tricks.as_strided(storage[start:], size, steps).copy()


# --- after: nothing but plain values ------------------------------------------------------------------------

_LEAVES = {
    type(None), bool, int, float, complex, str, bytes, bytearray, np.ndarray,
    datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone,
}  # fmt: skip


def _plain(value: Any, done: dict[int, Any], depth: int) -> Any:
    """The value with real arrays and dtypes in place of our stand-ins.

    Raises: DataError for anything that is no plain value, such as a function that the file names but does
    not call.
    """
    kind = type(value)
    if kind is int and value.bit_length() > MAX_BITS:
        raise DataError(f"holds an integer of {value.bit_length()} bits")
    if kind in _LEAVES or isinstance(value, np.generic):
        return value
    if id(value) in done:
        return done[id(value)]
    if depth > MAX_DEPTH:
        raise DataError(f"nested more than {MAX_DEPTH} deep")
    if kind is Dtype:
        return value.dtype
    if kind is Array and value.filled:
        done[id(value)] = value.view(np.ndarray)
        return done[id(value)]
    if kind not in (list, tuple, dict, set, frozenset, collections.OrderedDict, collections.deque):
        raise DataError(f"holds a bare {kind.__name__.strip('_').lower()}, which is no plain value")
    if kind is not tuple:
        done[id(value)] = value  # before its parts: it may hold itself
    if kind in (dict, collections.OrderedDict):
        if getattr(value, "__dict__", None):
            raise DataError("holds a table with attributes of its own")
        for key, part in list(value.items()):
            if _plain(key, done, depth + 1) is not key:
                raise DataError("holds a table with a dtype as key")
            value[key] = _plain(part, done, depth + 1)
        return value
    parts = [_plain(part, done, depth + 1) for part in value]
    if any(new is not old for new, old in zip(parts, value, strict=True)):
        if kind in (list, collections.deque):
            value.clear()
            value.extend(parts)
        else:
            value = kind(parts)
    if kind is tuple:
        done[id(value)] = value
    return value


# --- torch --------------------------------------------------------------------------------------------------

TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # first number of the old layout
_STORAGES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1",
    "BoolStorage": "<b1",
}  # fmt: skip


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


MAX_NESTED = 2  # torch files in torch files; each level copies its contents
_nested = contextvars.ContextVar("torch files around the one that is read", default=0)


def _storage(data: Any) -> NDArray[Any]:
    """torch.storage._load_from_bytes: a file of torch's inside the pickle, in its old or its new layout."""
    if not isinstance(data, bytes):
        raise DataError("a torch storage whose contents are not bytes")
    if (around := _nested.get()) >= MAX_NESTED:
        raise DataError(f"more than {MAX_NESTED} torch files in one another")
    level = _nested.set(around + 1)
    try:
        found = _zip_storage(data) if zipfile.is_zipfile(io.BytesIO(data)) else _stream_storage(data)
    finally:
        _nested.reset(level)
    if not isinstance(found, np.ndarray):
        raise DataError("a torch file that holds no storage")
    return found


class _Stored:
    """The storages that a torch file announces, each once, together no longer than the file."""

    def __init__(self, room: int, content: Callable[[str, str, int], NDArray[Any]]) -> None:
        self._room = room
        self._content = content
        self.arrays: dict[str, NDArray[Any]] = {}

    def __call__(self, key: str, dtype: str, n: int) -> NDArray[Any]:
        if key not in self.arrays:
            self._room -= n * np.dtype(dtype).itemsize
            if self._room < 0:
                raise DataError(f"a storage of {n} elements in a shorter torch file")
            self.arrays[key] = self._content(key, dtype, n)
        return self.arrays[key]


def _zip_storage(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        (root,) = [name[: -len("data.pkl")] for name in names if name.endswith("data.pkl")]

        def member(name: str) -> bytes:
            info = archive.getinfo(root + name)
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > len(data):
                raise DataError("a compressed torch file")
            return archive.read(info)

        if f"{root}byteorder" in names and member("byteorder") != b"little":
            raise DataError("a torch file of a big-endian machine")
        stored = _Stored(len(data), lambda key, dtype, n: np.frombuffer(member(f"data/{key}"), dtype, n))
        return _read(io.BytesIO(member("data.pkl")), "utf-8", stored)


def _stream_storage(data: bytes) -> Any:
    """Five pickles (magic number, version, system, object, keys), then each storage: its length and bytes."""
    file = io.BytesIO(data)
    if _read(file, "utf-8") != TORCH_MAGIC:
        raise DataError("a torch file in an unknown layout")
    _, system = _read(file, "utf-8"), _read(file, "utf-8")
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise DataError("a torch file of a big-endian machine")
    stored = _Stored(len(data), lambda key, dtype, n: np.zeros(n, dtype))
    found = _read(file, "utf-8", stored)
    for key in _read(file, "utf-8"):
        if key not in stored.arrays:
            raise DataError("a torch file with a storage that its table does not name")
        (n,) = struct.unpack("<q", file.read(8))
        held = stored.arrays[key]
        if n != len(held):
            raise DataError(f"a storage of {n} elements where {len(held)} were announced")
        held[...] = np.frombuffer(file.read(n * held.itemsize), held.dtype)
    return found


class _StorageName:
    """Stands for a torch storage class: the type of its elements, which no file can change."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def __setstate__(self, state: Any) -> NoReturn:
        raise DataError("changes a torch storage class")


_NUMPY_HOMES = ("numpy.core.multiarray", "numpy._core.multiarray")
_GLOBALS: Mapping[tuple[str, str], Any] = MappingProxyType(
    {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("collections", "deque"): collections.deque,
        ("_codecs", "encode"): Call(encode),
        ("numpy", "ndarray"): NDARRAY,
        ("numpy", "dtype"): Call(Dtype),
        ("torch._utils", "_rebuild_parameter"): Call(_parameter),
        ("torch.storage", "_load_from_bytes"): Call(_storage),
    }
    | {(home, "_reconstruct"): Call(reconstruct) for home in _NUMPY_HOMES}
    | {(home, "scalar"): Call(scalar) for home in _NUMPY_HOMES}
    | {(home, "_frombuffer"): Call(from_buffer) for home in ("numpy.core.numeric", "numpy._core.numeric")}
    | {("datetime", k): getattr(datetime, k) for k in ("datetime", "date", "time", "timedelta", "timezone")}
    | {
        (home, kind.__name__): kind
        for home in ("builtins", "__builtin__")
        for kind in (set, frozenset, list, dict, tuple, int, float, bool)
    }
    | {(home, "bytes"): Call(empty_bytes) for home in ("builtins", "__builtin__")}
    | {(home, "bytearray"): Call(to_bytearray) for home in ("builtins", "__builtin__")}
    | {(home, "complex"): Call(to_complex) for home in ("builtins", "__builtin__")}
    | {("torch", name): _StorageName(dtype) for name, dtype in _STORAGES.items()}
)
