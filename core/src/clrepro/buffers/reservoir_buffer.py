"""A reservoir and what it remembers in one object, for loops in numpy."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrepro.buffers.columns import Columns
from clrepro.buffers.reservoir import Reservoir


class ReservoirBuffer:
    """A uniform sample of everything added so far.

        buffer = ReservoirBuffer(500, rng=np.random.default_rng(0))
        buffer.add(x=images, y=labels)
        batch = buffer.sample(32)  # batch["x"], batch["y"]

    Args: capacity — items, 1 or more; rng — what all draws come from.
    Raises: ValueError for a capacity below 1.
    """

    def __init__(self, capacity: int, rng: np.random.Generator) -> None:
        self._reservoir = Reservoir(capacity, rng)
        self._columns: Columns | None = None

    def __len__(self) -> int:
        return self._reservoir.size

    @property
    def nbytes(self) -> int:
        """Bytes that the items may take; 0 before the first is added."""
        return 0 if self._columns is None else self._columns.nbytes

    def add(self, **arrays: ArrayLike) -> NDArray[np.int64]:
        """Offer n items; the first call decides the fields, their shapes and dtypes.

        Args: arrays — by field, (n, *shape of an item).
        Returns: int64 (n,), the slot of each item, -1 where it is not kept.
        Raises: ValueError for other fields, shapes or dtypes than at first, or unequal n.
        """
        given = {name: np.asarray(array) for name, array in arrays.items()}
        lengths = {array.shape[0] if array.ndim else -1 for array in given.values()}
        if len(lengths) != 1 or -1 in lengths:
            raise ValueError(f"fields of lengths {sorted(lengths)}: one item per row, as many in every field")
        if self._columns is None:
            fields = {name: (array.shape[1:], array.dtype) for name, array in given.items()}
            self._columns = Columns(self._reservoir.capacity, fields)
        self._columns.write(np.full(lengths.pop(), -1), **given)  # a check: nothing is drawn for wrong arrays
        slots = self._reservoir.add(len(next(iter(given.values()))))
        self._columns.write(slots, **given)
        return slots

    def sample(self, n: int) -> dict[str, NDArray[Any]]:
        """Returns n items by field, (n, *shape), independent and uniform, so repeats occur.

        Raises: ValueError before anything was added.
        """
        if self._columns is None:
            raise ValueError("nothing was added yet, so the fields are not known; look at len(buffer) first")
        return self._columns.read(self._reservoir.sample(n))

    def state(self) -> dict[str, Any]:
        """Returns what `load` needs; the generator is the caller's."""
        columns = None if self._columns is None else self._columns.state()
        return {"reservoir": self._reservoir.state(), "columns": columns}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned.  Raises: ValueError for that of another capacity."""
        if state["columns"] is not None:
            saved = {name: np.asarray(column) for name, column in state["columns"].items()}
            fields = {name: (column.shape[1:], column.dtype) for name, column in saved.items()}
            self._columns = Columns(self._reservoir.capacity, fields)
            self._columns.load(saved)
        self._reservoir.load(state["reservoir"])
