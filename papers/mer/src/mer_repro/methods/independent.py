"""One small network per task: no interference by construction, and n_tasks times fewer units each."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import UsageError
from mer_repro.engine import Engine, load_theta, theta_to_numpy
from mer_repro.init import glorot_mlp
from mer_repro.networks import Batch, Problem, named_linears

if TYPE_CHECKING:
    import torch


class Independent:
    """Task t trains only its own network, of width n_hiddens // n_tasks; finetune starts it from the
    previous task's.
    """

    def __init__(self, problem: Problem, *, lr: float, finetune: bool) -> None:
        width = problem.n_hiddens // problem.n_tasks
        if width < 1:
            raise UsageError(
                f"--n_hiddens {problem.n_hiddens}: shared among {problem.n_tasks} tasks, "
                f"needs at least one each; give {problem.n_tasks} or more"
            )
        sizes = (problem.n_inputs, *[width] * problem.n_layers, problem.n_outputs)
        self.engine = problem.make_engine(sizes)
        self.theta: list[Any] = [
            self.engine.pack(glorot_mlp(sizes, problem.rngs.torch)) for _ in range(problem.n_tasks)
        ]
        self.batch = Batch(self.engine, problem.batch_size)
        self.rate, self.finetune = lr, finetune
        self.previous = -1

    def observe(self, x: NDArray[np.float32], y: NDArray[np.int64], task: int) -> None:
        """Learn a batch x (b, inputs), y (b,) of task t with its own net."""
        if task != self.previous:
            if self.finetune and self.previous >= 0:
                load_theta(self.theta[task], theta_to_numpy(self.theta[self.previous]))
            self.previous = task
        indices = self.batch.put(x, y)
        self.engine.batch(self.theta[task], self.batch.rows, indices, self.rate)

    def predict(self, x: NDArray[np.float32], task: int) -> NDArray[np.float32]:
        """Returns logits (n, classes) of rows x (n, inputs)."""
        return self.engine.logits(self.theta[task], x)

    def network(self, t: int) -> tuple[Engine, Any]:
        """Returns the engine and the parameters of net t; an untrained net predicts from its start."""
        return self.engine, self.theta[t]

    def state_dict(self) -> "dict[str, torch.Tensor]":
        """Returns nets.<t>.net.{0,2,4}.{weight,bias}."""
        out: dict[str, torch.Tensor] = {}
        for t, theta in enumerate(self.theta):
            out |= named_linears(f"nets.{t}.net", self.engine.unpack(theta))
        return out

    def state(self) -> dict[str, Any]:
        """Returns everything an exact continuation needs."""
        return {"theta": [theta_to_numpy(theta) for theta in self.theta], "previous": self.previous}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        for theta, saved in zip(self.theta, state["theta"], strict=True):
            load_theta(theta, saved)
        self.previous = int(state["previous"])
