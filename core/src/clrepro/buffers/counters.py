"""Numbers of items and of slots, as calls and saved states give them: whole, in their range, or refused."""

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def checked_count(value: Any, what: str) -> int:
    """Returns the number.  Args: what — names it in the message.

    Raises: ValueError unless it is a whole number of 0 or more.
    """
    try:
        count = operator.index(value)
    except TypeError:
        raise ValueError(f"{what} {value!r}: a whole number") from None
    if count < 0:
        raise ValueError(f"{what} {count}: 0 or more")
    return count


def checked_slots(slots: ArrayLike, lowest: int, capacity: int) -> NDArray[np.int64]:
    """Returns slot numbers int64 (n,).  Args: lowest — the lowest one, -1 where "not stored" is meant.

    Raises: ValueError unless they are one row of integers from `lowest` to below `capacity`.
    """
    index = np.asarray(slots)
    if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
        raise ValueError(f"slots {index.dtype} {index.shape}: one row of integers")
    if index.size and not lowest <= int(index.min()) <= int(index.max()) < capacity:
        raise ValueError(f"slots from {index.min()} to {index.max()}: {lowest} to {capacity - 1}")
    return index.astype(np.int64)
