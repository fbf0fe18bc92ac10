"""Which stored examples are replayed and which slot a new one takes, by two laws of chance.

`FastSampler` (default) draws independent uniform slots and keeps the textbook reservoir.  `LegacySampler`
repeats the original's use of one Mersenne Twister number by number: it shuffles the whole list of slots anew
for every single replayed item and takes the next position, which is in law the same draw, and its reservoir
accepts with m/(age + 1).
"""

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.buffers import Reservoir
from clrepro.buffers.counters import checked_count


class FastSampler:
    """Independent uniform draws; exact reservoir (each of n examples is kept with probability m/n)."""

    def __init__(self, capacity: int, rng: np.random.Generator) -> None:
        self._reservoir = Reservoir(capacity, rng)
        self._rng = rng

    @property
    def size(self) -> int:
        """Filled slots."""
        return self._reservoir.size

    def sample(self, n: int) -> NDArray[np.int64]:
        """Returns min(n, size) slots, independent and uniform, so repeats occur."""
        size = self._reservoir.size
        return self._rng.integers(0, size, min(n, size)) if size else np.empty(0, np.int64)

    def order(self, n: int) -> NDArray[np.int64]:
        """Returns a uniformly random order of n positions."""
        return self._rng.permutation(n)

    def add(self) -> int:
        """Returns the slot of the example just learned, or -1 if it is not kept."""
        return int(self._reservoir.add()[0])

    def state(self) -> dict[str, Any]:
        """Returns what `load` needs for an exact continuation."""
        return {"reservoir": self._reservoir.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self._reservoir.load(state["reservoir"])


class LegacySampler:
    """The original's draws from `random`, in its order; `compiled` gives the same numbers about 100 times
    faster.
    """

    def __init__(self, capacity: int, rng: random.Random, compiled: bool) -> None:
        self._capacity = capacity
        self._rng = rng
        self._compiled = compiled
        self._age = 0

    @property
    def size(self) -> int:
        """Filled slots."""
        return min(self._age, self._capacity)

    def sample(self, n: int) -> NDArray[np.int64]:
        """Returns min(n, size) slots: shuffle all slots before each pick j and take position j."""
        size, n = self.size, min(n, self.size)
        if self._compiled:
            from mer_repro.mersenne_shuffle import shuffled_indices

            return shuffled_indices(self._rng, size, n)
        order = list(range(size))
        indices = np.empty(n, np.int64)
        for j in range(n):
            self._rng.shuffle(order)
            indices[j] = order[j]
        return indices

    def order(self, n: int) -> NDArray[np.int64]:
        """Returns a uniformly random order of n positions."""
        positions = list(range(n))
        self._rng.shuffle(positions)
        return np.array(positions, np.int64)

    def add(self) -> int:
        """Returns the slot of the example just learned, or -1; the counter already includes it (contract
        3.2).
        """
        self._age += 1
        if self._age <= self._capacity:
            return self._age - 1
        slot = self._rng.randint(0, self._age)
        return slot if slot < self._capacity else -1

    def state(self) -> dict[str, Any]:
        """Returns the age; the generator is the run's and is saved with it."""
        return {"age": self._age, "capacity": self._capacity}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state; those of earlier versions hold the age alone.

        Raises: ValueError for the state of a sampler of another capacity, or an age that cannot be.
        """
        if state.get("capacity", self._capacity) != self._capacity:
            raise ValueError(f"state of {state['capacity']} slots: this sampler has {self._capacity}")
        self._age = checked_count(state["age"], "items seen")


Sampler = FastSampler | LegacySampler
