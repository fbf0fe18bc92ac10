"""Experience replay: algorithm 4 (one merged batch) and algorithm 5 (balanced over tasks) of the paper's
appendix.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mer_repro.engine import Engine
from mer_repro.memory import ReplayMemory
from mer_repro.networks import Problem, SharedNetwork

if TYPE_CHECKING:
    import torch


class MergedReplay:
    """eralg4: one step on the mean loss of {replay draw} + {current example}, then offer it to the
    reservoir.
    """

    balanced = False

    def __init__(self, problem: Problem, *, lr: float, memories: int, replay_batch_size: float) -> None:
        self.net = SharedNetwork(problem, lr)
        engine = self.net.engine
        self.memory = ReplayMemory(engine, memories, problem.make_sampler(engine, memories))
        self.n_replay = int(replay_batch_size)

    def observe(self, x: NDArray[np.float32], y: NDArray[np.int64], task: int) -> None:
        """Learn the rows of a batch one by one: x (b, inputs), y (b,), all of one task."""
        memory = self.memory
        for x_i, y_i in zip(x, y, strict=True):
            memory.stage(x_i, task, int(y_i))
            indices = np.append(memory.sampler.sample(self.n_replay), memory.current)
            weight = self.weights(memory.task[indices]) if self.balanced else None
            self.net.engine.batch(self.net.theta, memory.rows, indices, self.net.rate, weight)
            memory.keep()

    @staticmethod
    def weights(tasks: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns 1 / (rows of the same task) for each row: their weighted sum adds up one mean loss per
        task.
        """
        _, inverse, count = np.unique(tasks, return_inverse=True, return_counts=True)
        return (1 / count[inverse]).astype(np.float32)

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
        return {"net": self.net.state(), "memory": self.memory.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.net.load(state["net"])
        self.memory.load(state["memory"])


class BalancedReplay(MergedReplay):
    """eralg5: the same draw, but each task present in the batch contributes its own mean loss.

    The step therefore grows with the number of tasks present; the original's lower learning rates account
    for it.
    """

    balanced = True
