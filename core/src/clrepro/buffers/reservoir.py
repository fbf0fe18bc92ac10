"""Reservoir sampling: a fixed number of slots that stay a uniform sample of everything offered so far."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.buffers.counters import checked_count


class Reservoir:
    """Decides which slot each offered item takes; the payload lives elsewhere.

    law="exact": after n items each is stored with probability m/n (m = capacity).
    law="legacy": acceptance m/(age + 1), age counting the item itself: each of the first m items is stored
    with probability (m + 1)/(n + 1), each later one with m/(n + 1).

    Args: capacity — slots, 1 or more; rng — what every draw comes from.
    Raises: ValueError for a capacity below 1 or an unknown law.
    Source: algorithm R (in Vitter 1985); the legacy law is MER's published code's.
    """

    def __init__(self, capacity: int, rng: np.random.Generator, law: str = "exact") -> None:
        if capacity < 1:
            raise ValueError(f"capacity {capacity}: a reservoir needs at least one slot")
        if law not in ("exact", "legacy"):
            raise ValueError(f"law {law!r}: one of 'exact', 'legacy'")
        self.capacity, self.law = capacity, law
        self.seen = 0
        self._rng = rng

    @property
    def size(self) -> int:
        """Filled slots: min(seen, capacity)."""
        return min(self.seen, self.capacity)

    def add(self, n: int = 1) -> NDArray[np.int64]:
        """Decide where the next n items of the stream go; advances the stream counter.

        Returns: int64 (n,), slot in [0, capacity), or -1 for "not stored".  A later item may take the slot
        of an earlier one of the same call: write them in order.
        Raises: ValueError unless n is a whole number of 0 or more.
        """
        n = checked_count(n, "items offered")
        slots = np.arange(self.seen, self.seen + n, dtype=np.int64)
        late = slots >= self.capacity
        if late.any():
            age = slots[late] + 1
            draw = self._rng.integers(0, age if self.law == "exact" else age + 1)
            slots[late] = np.where(draw < self.capacity, draw, -1)
        self.seen += n
        return slots

    def sample(self, n: int) -> NDArray[np.int64]:
        """Returns n filled slots int64 (n,), independent and uniform (with replacement); empty if nothing is
        stored.
        """
        return self._rng.integers(0, self.size, n) if self.size else np.empty(0, np.int64)

    def state(self) -> dict[str, Any]:
        """Returns the counter and what it counts for; the generator belongs to the caller."""
        return {"capacity": self.capacity, "law": self.law, "seen": self.seen}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned.  States of earlier versions hold the counter alone.

        Raises: ValueError for the state of a reservoir of another capacity or law (its slots would mean other
        items), or of a counter that cannot be.
        """
        saved = (state.get("capacity", self.capacity), state.get("law", self.law))
        if saved != (self.capacity, self.law):
            raise ValueError(
                f"state of a reservoir of {saved[0]} slots, law {saved[1]!r}: this one has {self.capacity}, "
                f"{self.law!r}; make it as it was saved"
            )
        self.seen = checked_count(state["seen"], "items seen")
