"""A learner as the original's `model/<name>.py` offers it: `Net(n_inputs, n_outputs, n_tasks, args)`."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clrepro.adapters.torch import to_numpy
from mer_repro.methods import METHODS
from mer_repro.network import Problem
from mer_repro.settings import Settings
from mer_repro.streams import Streams

if TYPE_CHECKING:
    import torch


class Learner:
    """Takes tensors or arrays; `method` is the algorithm itself."""

    def __init__(self, problem: Problem) -> None:
        self.method = METHODS[problem.settings.model](problem)
        self._n_inputs = problem.n_inputs

    def observe(self, x: Any, t: int, y: Any) -> None:
        """Learn a batch of one task: x float (b, n_inputs), t task index, y integer (b,)."""
        self.method.observe(self._rows(x), int(t), to_numpy(y, np.int64).reshape(-1))

    def forward(self, x: Any, t: int) -> "torch.Tensor":
        """Returns logits float32 (n, n_outputs) of rows x (n, n_inputs) of task t."""
        import torch

        engine, theta = self.method.network(int(t))
        return torch.from_numpy(engine.logits(theta, self._rows(x)))

    __call__ = forward

    def _rows(self, x: Any) -> NDArray[np.float32]:
        rows = to_numpy(x, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self._n_inputs:
            raise ValueError(f"rows of shape {rows.shape}; this learner takes (n, {self._n_inputs})")
        return rows

    def check_finite(self, n_learned: int) -> None:
        """Weights that are no numbers stay so, and the classes that they predict mean nothing.

        One look per task is therefore enough.  Args: n_learned — tasks learned so far, for the message.
        Raises: FloatingPointError if a weight is infinite or no number.
        """
        import torch

        for name, weights in self.method.state_dict().items():
            if not bool(torch.isfinite(weights).all()):
                raise FloatingPointError(
                    f"{name} holds weights that are no numbers after task {n_learned}; lower --lr"
                )

    def state_dict(self) -> "dict[str, torch.Tensor]":
        """Returns the parameters under the original's names."""
        return self.method.state_dict()


def build(model: str, n_inputs: int, n_outputs: int, n_tasks: int, args: Any) -> Learner:
    """Returns a fresh learner, seeded by args.seed.

    Args: model — one of `METHODS`; args — `Settings` or any namespace with some of its names (others take
    defaults).
    Raises: UsageError if the settings do not fit the model.
    """
    settings = Settings.from_namespace(args, model=model)
    return Learner(Problem(settings, n_inputs, n_outputs, n_tasks, Streams(settings.seed)))
