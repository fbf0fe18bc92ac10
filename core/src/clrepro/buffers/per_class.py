"""Per class: the same number of slots for every class, so that a frequent one cannot push out a rare one."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


class PerClass:
    """One ring per class in one row of slots: slot = class * capacity_per_class + position in its ring.

    Args: capacity_per_class — slots of each class, 1 or more; n_classes — labels are 0 to n_classes - 1.
    Raises: ValueError for either below 1.
    """

    def __init__(self, capacity_per_class: int, n_classes: int) -> None:
        for name, value in (("capacity_per_class", capacity_per_class), ("n_classes", n_classes)):
            if value < 1:
                raise ValueError(f"{name} {value}: 1 or more")
        self.capacity_per_class, self.n_classes = capacity_per_class, n_classes
        self._seen = np.zeros(n_classes, np.int64)

    @property
    def capacity(self) -> int:
        """Slots of all classes together."""
        return self.capacity_per_class * self.n_classes

    @property
    def seen(self) -> int:
        """Items offered so far, of all classes."""
        return int(self._seen.sum())

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Filled slots of each class, int64 (n_classes,)."""
        return np.minimum(self._seen, self.capacity_per_class)

    @property
    def size(self) -> int:
        """Filled slots of all classes together."""
        return int(self.sizes.sum())

    def add(self, labels: ArrayLike) -> NDArray[np.int64]:
        """Decide where the next items go, given their classes; advances the counters of those classes.

        Args: labels — integers (n,) in [0, n_classes).
        Returns: int64 (n,) slots.  With more than capacity_per_class items of one class in a call a slot
        comes more than once: write in order.
        Raises: ValueError for labels of another shape or kind, or out of range (nothing is counted then).
        """
        given = np.asarray(labels)
        if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
            raise ValueError(f"labels {given.dtype} {given.shape}: one row of integers, one per item")
        if given.size and not 0 <= int(given.min()) <= int(given.max()) < self.n_classes:
            raise ValueError(
                f"labels from {given.min()} to {given.max()}: 0 to {self.n_classes - 1}; "
                "n_classes counts the classes of the whole stream"
            )
        classes = given.astype(np.int64)
        order = np.argsort(classes, kind="stable")
        counts = np.bincount(classes, minlength=self.n_classes)
        # In the sorted row each class is one run; the place in the run is the item's rank in its class.
        starts = np.cumsum(counts) - counts
        rank = np.empty(len(classes), np.int64)
        rank[order] = np.arange(len(classes)) - starts[classes[order]]
        position = (self._seen[classes] + rank) % self.capacity_per_class
        self._seen += counts
        return classes * self.capacity_per_class + position

    def slots_of(self, label: int) -> NDArray[np.int64]:
        """Returns the filled slots of one class, int64 (its size,), ascending.

        Raises: ValueError for a label outside [0, n_classes).
        """
        if not 0 <= label < self.n_classes:
            raise ValueError(f"label {label}: 0 to {self.n_classes - 1}")
        start = label * self.capacity_per_class
        return np.arange(start, start + int(self.sizes[label]), dtype=np.int64)

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Returns n filled slots int64 (n,), independent and uniform, with replacement; empty if none is."""
        ends = np.cumsum(self.sizes)
        if not ends[-1]:
            return np.empty(0, np.int64)
        index = rng.integers(0, ends[-1], n)
        label = np.searchsorted(ends, index, side="right")
        return label * self.capacity_per_class + index - (ends - self.sizes)[label]

    def state(self) -> dict[str, Any]:
        """Returns the counters of the classes and the capacity they count for."""
        return {"capacity_per_class": self.capacity_per_class, "seen": self._seen.copy()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned.

        Raises: ValueError for the state of a buffer of another layout (its slots would mean other items).
        """
        given = np.asarray(state["seen"])
        if given.dtype.kind not in "iu" or (given.size and int(given.min()) < 0):
            raise ValueError(f"items seen of {given.dtype}: whole numbers of 0 or more, one for each class")
        seen = given.astype(np.int64)
        saved = (int(state["capacity_per_class"]), seen.size)
        if saved != (self.capacity_per_class, self.n_classes):
            raise ValueError(
                f"state of {saved[0]} slots for each of {saved[1]} classes: this buffer has "
                f"{self.capacity_per_class} for each of {self.n_classes}; make it as it was saved"
            )
        self._seen = seen.copy()
