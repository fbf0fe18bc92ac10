"""Ring: the most recent items, each new one in the place of the oldest."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.buffers.counters import checked_count


class Ring:
    """Gives each offered item the slot of the oldest one; the payload lives elsewhere.

    Args: capacity — slots, 1 or more.
    Raises: ValueError for a capacity below 1.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity {capacity}: a ring needs at least one slot")
        self.capacity = capacity
        self.seen = 0

    @property
    def size(self) -> int:
        """Filled slots: min(seen, capacity)."""
        return min(self.seen, self.capacity)

    def add(self, n: int = 1) -> NDArray[np.int64]:
        """Decide where the next n items of the stream go; advances the stream counter.

        Returns: int64 (n,), slot in [0, capacity).  With n above the capacity a slot comes more than once:
        write in order.
        Raises: ValueError unless n is a whole number of 0 or more.
        """
        n = checked_count(n, "items offered")
        slots = np.arange(self.seen, self.seen + n, dtype=np.int64) % self.capacity
        self.seen += n
        return slots

    def oldest_first(self) -> NDArray[np.int64]:
        """Returns the filled slots int64 (size,) in the order in which their items came."""
        return np.arange(self.seen - self.size, self.seen, dtype=np.int64) % self.capacity

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Returns n filled slots int64 (n,), independent and uniform (with replacement); empty if nothing is
        stored.
        """
        return rng.integers(0, self.size, n) if self.size else np.empty(0, np.int64)

    def state(self) -> dict[str, Any]:
        """Returns the counter and the capacity it counts for."""
        return {"capacity": self.capacity, "seen": self.seen}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned.

        Raises: ValueError for the state of a ring of another capacity (its slots would mean other items), or
        of a counter that cannot be.
        """
        if int(state["capacity"]) != self.capacity:
            raise ValueError(
                f"state of a ring of {state['capacity']} slots: this one has {self.capacity}; "
                "make the ring with the capacity it was saved with"
            )
        self.seen = checked_count(state["seen"], "items seen")
