"""One cluster: at most P samples in order of arrival, and their mean."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ta_agem_repro.memory.removal import BLIND, REMOVALS

Vector = NDArray[np.float32]


@dataclass(slots=True)
class Stored:
    """A remembered sample: x float32 (inputs,), the space z float32 that distances are taken in (x itself
    unless dimensions are reduced), bookkeeping that no learner reads, and its slot in the learner's store.
    """

    x: Vector
    z: Vector
    label: int | None = None
    task_id: int | None = None
    arrival: int = 0
    slot: int = -1


class Cluster:
    """At most P samples; the mean is made anew from them at each change, so it never drifts.

    Args: initial_sample — (inputs,) array or tensor; removal_function — name in `REMOVALS` or a function of
    its kind; random_add_or_remove — evict uniformly instead.
    Source: spec 3.2 and 3.4.
    """

    def __init__(
        self,
        initial_sample: Any,
        removal_function: str | Callable[..., int] = "remove_oldest",
        initial_label: int | None = None,
        initial_task_id: int | None = None,
        random_add_or_remove: bool = False,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        if random_add_or_remove:
            removal_function = "remove_random"
        self._removal = REMOVALS[removal_function] if isinstance(removal_function, str) else removal_function
        self._rng = np.random.default_rng(0) if rng is None else rng
        if isinstance(initial_sample, Stored):
            first = initial_sample
        else:
            x = np.asarray(initial_sample, np.float32).ravel()
            first = Stored(x, x, initial_label, initial_task_id)
        self.items: list[Stored] = [first]
        self.mean: Vector = first.z.copy()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def samples(self) -> list[Vector]:
        """The samples, oldest first."""
        return [item.x for item in self.items]

    @property
    def labels(self) -> list[int | None]:
        """Their labels."""
        return [item.label for item in self.items]

    @property
    def task_ids(self) -> list[int | None]:
        """The tasks they came with."""
        return [item.task_id for item in self.items]

    @property
    def insertion_order(self) -> list[int]:
        """Their arrival numbers in the pool, strictly increasing."""
        return [item.arrival for item in self.items]

    def append(self, item: Stored, capacity: int) -> Stored | None:
        """Add a sample; if that makes more than `capacity`, drop one and return it (maybe the newcomer)."""
        self.items.append(item)
        dropped = None
        if len(self.items) > capacity:
            dropped = self.items.pop(self._removal(self._distances(), self._rng))
        self._refresh()
        return dropped

    def replace(self, item: Stored) -> Stored:
        """Put a sample in the place of the only one there is; returns that one."""
        (old,) = self.items
        self.items = [item]
        self._refresh()
        return old

    def _distances(self) -> NDArray[np.float64]:
        """Of all samples to their mean, float64 (n,); zeros for a rule that does not look at them."""
        if self._removal in BLIND:
            return np.zeros(len(self.items))
        from ta_agem_repro.memory.geometry import squared_distances

        rows = np.stack([item.z for item in self.items])
        return np.asarray(np.sqrt(squared_distances(rows, rows.mean(axis=0, dtype=np.float64))))

    def _refresh(self) -> None:
        # Summed in float64: the mean of equal samples is then that sample, to the last bit.
        total = self.items[0].z.astype(np.float64)
        for item in self.items[1:]:
            total += item.z
        self.mean = (total / len(self.items)).astype(np.float32)
