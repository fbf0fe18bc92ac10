"""What the names in a pickle stand for while `safe_pickle` reads it: arrays, bytes and numbers made by us."""

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError


class Call:
    """A function that a pickle may call but, unlike a plain function, cannot set attributes of."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> NoReturn:
        raise DataError("changes a function instead of calling it")


class Dtype:
    """Stands for numpy.dtype while a pickle describes one: numbers, truth values, bytes and texts only."""

    def __init__(self, kind: Any, align: Any = False, copy: Any = False) -> None:
        text = kind.decode("ascii") if isinstance(kind, bytes) else kind
        if not isinstance(text, str) or text[:1] not in "biufcSU" or not text[1:].isdigit():
            shown = repr(text) if isinstance(text, str) else "no known kind"
            raise DataError(f"array of {shown[:40]}: only arrays of numbers and texts are read")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, None: no sub-array, no names, no fields, ...)
        order, parts = state[1], state[2:5]
        if any(part is not None for part in parts):
            raise DataError("array of records: only arrays of numbers and texts are read")
        text = order.decode("ascii") if isinstance(order, bytes) else order
        if text == ">":
            self.dtype = self.dtype.newbyteorder(">")


class Array(np.ndarray[Any, Any]):
    """An array whose contents arrive as its pickled state."""

    filled = False

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        filled = _from_bytes(data, dtype, shape, "F" if fortran else "C")
        super().__setstate__((1, filled.shape, filled.dtype, False, filled.tobytes()))  # type: ignore[arg-type]
        self.filled = True


def _from_bytes(data: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    if isinstance(data, str):  # Python 2's bytes, read as text
        data = data.encode("latin1")
    if not isinstance(dtype, Dtype) or not isinstance(data, bytes | bytearray):
        raise DataError("an array whose contents are not bytes")
    flat = np.frombuffer(data, dtype.dtype).astype(dtype.dtype.newbyteorder("="))
    return flat.reshape(sizes_of(shape), order="F" if order == "F" else "C")


def sizes_of(shape: Any) -> tuple[int, ...]:
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not all(isinstance(size, int) and size >= 0 for size in sizes):
        raise DataError("an array whose shape is not made of sizes")
    return sizes


def _no_array(*_: Any) -> NoReturn:
    raise DataError("an array made by a call, without contents")


NDARRAY = Call(_no_array)  # the class, which a pickle names and never calls


def reconstruct(subtype: Any, shape: Any, kind: Any) -> Array:
    if subtype is not NDARRAY:
        raise DataError("an array of another class than numpy.ndarray")
    return Array((0,), np.int8)  # its state follows; until then it holds nothing


def scalar(dtype: Any, data: Any = b"") -> Any:
    return _from_bytes(data, dtype, (1,), "C")[0]


def from_buffer(data: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> NDArray[Any]:
    return _from_bytes(bytes(data), dtype, shape, order)


def encode(text: Any, codec: Any = "latin1") -> bytes:
    if codec not in ("latin1", "latin-1") or not isinstance(text, str):
        raise DataError("bytes written as text in another code than latin1")
    return text.encode("latin1")


def empty_bytes(*arguments: Any) -> bytes:
    if arguments:
        raise DataError("bytes made by a call")
    return b""


def to_bytearray(*arguments: Any) -> bytearray:
    if not arguments:
        return bytearray()
    data, codec = (*arguments, "latin1")[:2]
    return bytearray(data if isinstance(data, bytes) else encode(data, codec))


def to_complex(real: Any, imaginary: Any) -> complex:
    return complex(float(real), float(imaginary))
