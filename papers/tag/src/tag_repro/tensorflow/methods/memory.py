"""Remembered examples: uint8 images and labels in the slots that a policy of `clrepro.buffers` gives out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.buffers import Columns, PerClass, Reservoir


class Memory:
    """A policy and what it keeps.  Args: policy — its capacity counts; inputs — pixels of an image."""

    def __init__(self, policy: PerClass | Reservoir, inputs: int) -> None:
        self.policy = policy
        self.columns = Columns(policy.capacity, {"x": ((inputs,), np.uint8), "y": ((), np.int64)})

    def read(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Returns images (n, inputs) and labels (n,) of filled slots."""
        found = self.columns.read(slots)
        return found["x"], found["y"]

    def state(self) -> dict[str, Any]:
        """Returns counters and examples."""
        return {"policy": self.policy.state(), "columns": self.columns.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.policy.load(state["policy"])
        self.columns.load(state["columns"])
