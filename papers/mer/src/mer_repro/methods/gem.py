"""Gradient Episodic Memory (Lopez-Paz & Ranzato 2017), with the original's margin on the dual."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mer_repro.engine import Engine, FusedEngine
from mer_repro.gem_gradients import FACTORED_ROWS, AutogradPast, FactoredPast
from mer_repro.gem_guarded import GuardedPast
from mer_repro.gem_packed import PackedPast
from mer_repro.networks import Problem, SharedNetwork
from mer_repro.qp import nonnegative_dual

if TYPE_CHECKING:
    import torch


class GEM:
    """If the step would raise the loss on a finished task's memory, take the nearest step that does not.

    g <- g + G'v with v = argmin 1/2 v'GG'v + (Gg)'v, v >= margin, whenever some G_u g < 0; G_u is the mean
    gradient of task u's q remembered examples at the present parameters.  The current task never constrains
    itself.
    Differs from the original: only slots that were really filled enter G_u (there, unfilled ones held
    garbage), and the solver accepts collinear gradients.
    """

    def __init__(self, problem: Problem, *, lr: float, n_memories: int, memory_strength: float) -> None:
        self.net = SharedNetwork(problem, lr)
        self.q, self.margin = n_memories, memory_strength
        self.rows: Any = self.net.engine.store(problem.n_tasks * self.q)
        self.filled = np.zeros((problem.n_tasks, self.q), bool)
        self.seen: list[int] = []
        self.current = -1
        self.pointer = 0  # one ring position for all tasks: it is not reset when the task changes
        self.past: GuardedPast | None = None

    def observe(self, x: NDArray[np.float32], y: NDArray[np.int64], task: int) -> None:
        """Learn a batch x (b, inputs), y (b,) of a task."""
        if task != self.current:
            self._start_task(task)
        for x_i, y_i in zip(x, y, strict=True):
            self.rows.put(task * self.q + self.pointer, x_i, int(y_i))
            self.filled[task, self.pointer] = True
            self.pointer = (self.pointer + 1) % self.q
        if self.past is None:
            self.net.step(x, y)
            return
        indices = self.net.batch.put(x, y)
        dots = self.past.compare(self.net.theta, self.net.batch.rows, indices)
        v = nonnegative_dual(self.past.gram(), dots, self.margin) if (dots < 0).any() else None
        self.net.engine.descend(self.net.theta, self.past.direction(v), self.net.rate)
        self.past.moved(self.net.rate, v)

    def _start_task(self, t: int) -> None:
        self.current = t
        if t not in self.seen:
            self.seen.append(t)
        self._freeze()

    def _freeze(self) -> None:
        """Collect the memories of all tasks but the current one."""
        self.past = None  # two at once would be the peak of the whole run
        finished = [u for u in self.seen if u != self.current]
        blocks = [u * self.q + np.flatnonzero(self.filled[u]) for u in finished]
        engine = self.net.engine
        if blocks and isinstance(engine, FusedEngine):
            few = sum(map(len, blocks)) <= FACTORED_ROWS
            self.past = GuardedPast((FactoredPast if few else PackedPast)(engine, self.rows, blocks))
        elif blocks:
            self.past = GuardedPast(AutogradPast(engine, self.rows, blocks))

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
        """Returns everything an exact continuation needs, at a task boundary."""
        return {
            "net": self.net.state(),
            "rows": self.rows.state(),
            "filled": self.filled,
            "seen": list(self.seen),
            "current": self.current,
            "pointer": self.pointer,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state.  Raises: ValueError for that of other numbers of tasks or memories."""
        filled, pointer = np.array(state["filled"], bool), int(state["pointer"])
        if filled.shape != self.filled.shape or not 0 <= pointer < self.q:
            raise ValueError(f"state of memories {filled.shape}, at {pointer}: here {self.filled.shape}")
        self.net.load(state["net"])
        self.rows.load(state["rows"])
        self.filled, self.pointer = filled, pointer
        self.seen, self.current = [int(t) for t in state["seen"]], int(state["current"])
        self._freeze()
