"""Elastic weight consolidation, as the original counts it (Kirkpatrick et al. 2017)."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mer_repro.engine import Engine, theta_to_numpy
from mer_repro.networks import Problem, SharedNetwork

if TYPE_CHECKING:
    import torch


class EWC:
    """theta <- theta - alpha * grad [CE + lambda * sum_u sum_i F_u,i (theta_i - theta*_u,i)^2], u over
    finished tasks.

    F_u is the square of the *mean* gradient of the task's first q examples at its end (not the mean of
    squares), there is no factor one half, and every finished task keeps its own term: all as in the
    original. The sum over tasks is kept as two vectors, the total A = sum F_u and the centre c = sum F_u
    theta*_u / A, because its gradient is 2 lambda A (theta - c): the cost does not grow with the number of
    tasks. Accumulated in float64.
    """

    def __init__(self, problem: Problem, *, lr: float, n_memories: int, memory_strength: float) -> None:
        self.net = SharedNetwork(problem, lr)
        n_params = self.net.engine.layout.n_params
        self.strength = memory_strength
        self.q = max(n_memories, 1)
        self.rows = self.net.engine.store(self.q)
        self.filled = 0
        self.current = -1
        self.total = np.zeros(n_params)
        self.centre = np.zeros(n_params)
        self._set_pull()

    def observe(self, x: NDArray[np.float32], y: NDArray[np.int64], task: int) -> None:
        """Learn a batch x (b, inputs), y (b,) of a task; on a new task, first anchor the finished one."""
        if task != self.current:
            if self.current >= 0:
                self.consolidate()
            self.current, self.filled = task, 0
        for row in range(min(len(y), self.q - self.filled)):
            self.rows.put(self.filled, x[row], int(y[row]))
            self.filled += 1
        pull = self.pull()
        self.net.step(x, y)
        if pull is not None:
            self.net.engine.descend(self.net.theta, pull, self.net.rate)

    def consolidate(self) -> None:
        """Add the finished task's F and theta* to the total and the centre."""
        gradient = self.net.engine.gradient(self.net.theta, self.rows, np.arange(self.filled))
        fisher = theta_to_numpy(gradient).astype(np.float64) ** 2
        total = self.total + fisher
        weighted = self.total * self.centre + fisher * theta_to_numpy(self.net.theta)
        self.centre = np.divide(weighted, total, out=np.zeros_like(total), where=total > 0)
        self.total = total
        self._set_pull()

    def _set_pull(self) -> None:
        """float32 copies, on the engine's side, of what every step reads."""
        like = self.net.theta
        stiffness = (2 * self.strength * self.total).astype(np.float32)
        centre = self.centre.astype(np.float32)
        if hasattr(like, "cpu"):
            import torch

            self._stiffness: Any = torch.from_numpy(stiffness).to(like.device)
            self._centre: Any = torch.from_numpy(centre).to(like.device)
        else:
            self._stiffness, self._centre = stiffness, centre

    def pull(self) -> Any:
        """Returns the penalty's gradient 2 lambda A (theta - c) at the present parameters, or None without a
        penalty.
        """
        if self.strength == 0 or not self.total.any():
            return None
        return self._stiffness * (self.net.theta - self._centre)

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
        return {
            "net": self.net.state(),
            "rows": self.rows.state(),
            "filled": self.filled,
            "current": self.current,
            "total": self.total,
            "centre": self.centre,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.net.load(state["net"])
        self.rows.load(state["rows"])
        self.filled, self.current = int(state["filled"]), int(state["current"])
        self.total, self.centre = np.array(state["total"]), np.array(state["centre"])
        self._set_pull()
