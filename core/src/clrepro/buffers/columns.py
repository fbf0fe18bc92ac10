"""Columns: what is remembered, one preallocated numpy array per field, addressed by slot."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from clrepro.buffers.counters import checked_slots


class Columns:
    """Holds the payload of a policy's slots: row `slot` of every column belongs to one item.

    Args: capacity — rows, 1 or more; fields — name: (shape of one item, dtype), at least one; dtypes of
    numbers or truth values only.
    Raises: ValueError for anything else.
    """

    def __init__(self, capacity: int, fields: Mapping[str, tuple[tuple[int, ...], DTypeLike]]) -> None:
        if capacity < 1:
            raise ValueError(f"capacity {capacity}: columns need at least one row")
        if not fields:
            raise ValueError("no fields: give at least one as name: (shape, dtype)")
        self.capacity = capacity
        self._columns: dict[str, NDArray[Any]] = {}
        for name, (shape, dtype) in fields.items():
            # Objects could only be saved with pickle, which this suite never loads.
            if np.dtype(dtype).kind not in "biufc":
                raise ValueError(f"field {name!r} of dtype {np.dtype(dtype)}: numbers or bool")
            self._columns[name] = np.zeros((capacity, *shape), dtype)

    @property
    def names(self) -> tuple[str, ...]:
        """The fields, in the order given."""
        return tuple(self._columns)

    @property
    def nbytes(self) -> int:
        """Bytes of all columns together, filled or not."""
        return sum(column.nbytes for column in self._columns.values())

    def write(self, slots: ArrayLike, **arrays: ArrayLike) -> None:
        """Store n items in order: where a slot comes more than once the last item stays.

        Args: slots — integers (n,) in [0, capacity), or -1 for "not stored", which is skipped;
        arrays — every field, (n, *its shape), of a dtype numpy casts to the field's within its kind
        (float64 to float32, say, but not float to int).
        Raises: ValueError for anything else (nothing is written then).
        """
        index = checked_slots(slots, -1, self.capacity)
        given = {name: np.asarray(array) for name, array in arrays.items()}
        if given.keys() != self._columns.keys():
            raise ValueError(f"fields {sorted(given)}: exactly {sorted(self._columns)}")
        for name, array in given.items():
            column = self._columns[name]
            wanted = (len(index), *column.shape[1:])
            if array.shape != wanted:
                raise ValueError(f"{name} of shape {array.shape}: {wanted}, one row per slot")
            if not np.can_cast(array.dtype, column.dtype, "same_kind"):
                raise ValueError(
                    f"{name} of {array.dtype}: the column holds {column.dtype}; convert it first"
                )
        rows = _last_of_each(index)
        for name, array in given.items():
            self._columns[name][index[rows]] = array[rows]

    def read(self, slots: ArrayLike) -> dict[str, NDArray[Any]]:
        """Returns a copy of the items, name: (n, *shape of the field); a row never written is zero.

        Args: slots — integers (n,) in [0, capacity), repeats allowed.
        Raises: ValueError for anything else.
        """
        index = checked_slots(slots, 0, self.capacity)
        return {name: column[index] for name, column in self._columns.items()}

    def state(self) -> dict[str, Any]:
        """Returns a copy of every column, name: (capacity, *shape of the field)."""
        return {name: column.copy() for name, column in self._columns.items()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned.

        Raises: ValueError for other fields, shapes or dtypes (nothing is loaded then).
        """
        if state.keys() != self._columns.keys():
            raise ValueError(f"state with the fields {sorted(state)}: exactly {sorted(self._columns)}")
        for name, column in self._columns.items():
            saved = np.asarray(state[name])
            if saved.shape != column.shape or saved.dtype != column.dtype:
                raise ValueError(
                    f"state of {name} {saved.dtype} {saved.shape}: here {column.dtype} {column.shape}"
                )
        for name, column in self._columns.items():
            column[...] = state[name]


def _last_of_each(index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of the last item of each slot, without -1."""
    # numpy leaves open which of several values for one place wins, so only the last is handed to it.
    _, from_end = np.unique(index[::-1], return_index=True)
    last = len(index) - 1 - from_end
    return last[index[last] >= 0]
