"""Replay memory of the er* and mer* learners: stored rows, their tasks, and the sampler that picks among
them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_repro.engine import Engine
from mer_repro.sampling import Sampler


class ReplayMemory:
    """`capacity` slots filled by the sampler's reservoir, plus one slot (the last) for the example being
    learned.
    """

    def __init__(self, engine: Engine, capacity: int, sampler: Sampler) -> None:
        self.rows = engine.store(capacity + 1)
        self.task = np.zeros(capacity + 1, np.int64)
        self.current = capacity
        self.sampler = sampler

    def stage(self, x: NDArray[np.float32], t: int, y: int) -> None:
        """Put the incoming example into the extra slot, where a batch can name it; it is not in the memory
        yet.
        """
        self.rows.put(self.current, x, y)
        self.task[self.current] = t

    def keep(self) -> None:
        """Offer the staged example to the reservoir."""
        slot = self.sampler.add()
        if slot >= 0:
            self.rows.copy(self.current, slot)
            self.task[slot] = self.task[self.current]

    def state(self) -> dict[str, Any]:
        """Returns rows, tasks and sampler state."""
        return {"rows": self.rows.state(), "task": self.task.copy(), "sampler": self.sampler.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state.  Raises: ValueError for that of a memory of another capacity."""
        if np.shape(state["task"]) != self.task.shape:
            raise ValueError(f"state of {np.shape(state['task'])} slots: this memory has {self.task.shape}")
        self.sampler.load(state["sampler"])
        self.rows.load(state["rows"])
        self.task[...] = state["task"]
