"""Online learning: plain SGD on whatever arrives; the lower bound."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mer_repro.engine import Engine
from mer_repro.networks import Problem, SharedNetwork

if TYPE_CHECKING:
    import torch


class Online:
    """theta <- theta - alpha * grad CE(f(x), y), one step per batch."""

    def __init__(self, problem: Problem, *, lr: float) -> None:
        self.net = SharedNetwork(problem, lr)

    def observe(self, x: NDArray[np.float32], y: NDArray[np.int64], task: int) -> None:
        """Learn a batch x (b, inputs), y (b,) of a task."""
        self.net.step(x, y)

    def predict(self, x: NDArray[np.float32], task: int) -> NDArray[np.float32]:
        """Returns logits (n, classes) of rows x (n, inputs)."""
        return self.net.predict(x)

    def network(self, t: int) -> tuple[Engine, Any]:
        """Returns the engine and parameters that predict task t."""
        return self.net.engine, self.net.theta

    def state_dict(self) -> "dict[str, torch.Tensor]":
        """Returns the parameters under the original's names."""
        return self.net.linears()

    def state(self) -> dict[str, Any]:
        """Returns everything an exact continuation needs."""
        return {"net": self.net.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.net.load(state["net"])
