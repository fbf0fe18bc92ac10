"""Remembered examples as tensors, addressed by the slots that a policy of `clrepro.buffers` gives out."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Examples:
    """x (capacity, ...) and y (capacity,) of remembered examples, made when the first one comes."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.x: Tensor | None = None
        self.y: Tensor | None = None

    def put(self, slots: NDArray[np.int64], x: Tensor, y: Tensor) -> None:
        """Write examples into slots; -1 is skipped, of equal slots the last one counts."""
        if self.x is None or self.y is None:
            self.x = torch.zeros((self.capacity, *x.shape[1:]), dtype=x.dtype, device=x.device)
            self.y = torch.full((self.capacity,), -1, dtype=torch.int64, device=y.device)
        for row, slot in enumerate(slots.tolist()):
            if slot >= 0:
                self.x[slot], self.y[slot] = x[row], y[row]

    def get(self, slots: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Returns the examples in slots."""
        assert self.x is not None
        assert self.y is not None
        at = torch.from_numpy(slots).to(self.y.device)
        return self.x[at], self.y[at]

    def state(self) -> dict[str, Any]:
        """Returns everything stored."""
        if self.x is None or self.y is None:
            return {}
        return {"x": self.x.cpu().numpy(), "y": self.y.cpu().numpy()}

    def load(self, state: dict[str, Any], device: Any) -> None:
        """Continue from what `state` returned.  Raises: ValueError for a state of another capacity."""
        if state:
            x, y = np.array(state["x"]), np.array(state["y"])
            if len(x) != self.capacity or y.shape != (self.capacity,):
                raise ValueError(f"state of {len(x)} examples, labels {y.shape}: here {self.capacity} slots")
            self.x, self.y = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)
