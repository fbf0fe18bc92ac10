"""Tensor columns: what is remembered, one torch tensor per field; the twin of `clrepro.buffers.Columns`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from clrepro.buffers.counters import checked_slots

if TYPE_CHECKING:
    import torch


class TensorColumns:
    """Holds the payload of a policy's slots on the device it came from.

    Made when the first items come, whose fields, shapes, dtypes and device it takes; rows never written are
    zero.
    Args: capacity — rows, 1 or more.  Raises: ValueError for fewer.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity {capacity}: columns need at least one row")
        self.capacity = capacity
        self._columns: dict[str, torch.Tensor] = {}

    def write(self, slots: ArrayLike, **tensors: "torch.Tensor") -> None:
        """Store n items in order: where a slot comes more than once the last item stays.

        Args: slots — integers (n,) in [0, capacity), or -1 for "not stored"; tensors — every field, (n, ...).
        Raises: ValueError for other fields, shapes or dtypes than at first (nothing is written then).
        """
        import torch

        index = checked_slots(slots, -1, self.capacity)
        if not self._columns:
            self._columns = {
                name: torch.zeros((self.capacity, *given.shape[1:]), dtype=given.dtype, device=given.device)
                for name, given in tensors.items()
            }
        if tensors.keys() != self._columns.keys():
            raise ValueError(f"fields {sorted(tensors)}: exactly {sorted(self._columns)}")
        for name, given in tensors.items():
            column = self._columns[name]
            wanted = (len(index), *column.shape[1:])
            if tuple(given.shape) != wanted or given.dtype != column.dtype:
                raise ValueError(
                    f"{name} {given.dtype} {tuple(given.shape)}: {column.dtype} {wanted}, one row per slot"
                )
        last = {slot: row for row, slot in enumerate(index.tolist()) if slot >= 0}
        if not last:
            return
        for name, given in tensors.items():
            column = self._columns[name]
            rows, places = (torch.tensor(list(some), device=column.device) for some in (last.values(), last))
            column[places] = given[rows].detach()

    def read(self, slots: ArrayLike) -> "dict[str, torch.Tensor]":
        """Returns a copy of the items, name: (n, ...); slots — integers (n,) in [0, capacity).

        Raises: ValueError for anything else, and before anything was written.
        """
        import torch

        index = torch.from_numpy(checked_slots(slots, 0, self.capacity))
        if not self._columns:
            raise ValueError("nothing was written yet, so the fields are not known")
        return {name: column[index.to(column.device)] for name, column in self._columns.items()}

    def state(self) -> dict[str, Any]:
        """Returns a copy of every column as an array, name: (capacity, ...); none before the first item."""
        return {name: column.cpu().numpy().copy() for name, column in self._columns.items()}

    def load(self, state: Mapping[str, Any], device: Any = "cpu") -> None:
        """Continue from what `state` returned, on a device.

        Raises: ValueError for the state of another capacity (nothing is loaded then).
        """
        import torch

        arrays = {name: np.array(column) for name, column in state.items()}
        if wrong := {name: len(array) for name, array in arrays.items() if len(array) != self.capacity}:
            raise ValueError(f"state of {wrong} rows: here {self.capacity} slots")
        self._columns = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
