"""A learner as the original's `model/<name>.py` offers it: `Net(n_inputs, n_outputs, n_tasks, args)`."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clrepro.adapters.torch import to_numpy
from clrepro.errors import DataError
from clrepro.settings import keywords
from mer_repro.engine import load_theta, theta_to_numpy
from mer_repro.methods import METHODS
from mer_repro.networks import Problem
from mer_repro.rngs import Rngs
from mer_repro.settings import Settings

if TYPE_CHECKING:
    import torch


def make_method(settings: Settings, n_inputs: int, n_outputs: int, n_tasks: int, rngs: Rngs) -> Any:
    """Returns the method of the settings, fresh: a `clrepro.learner.Learner` on numpy arrays.

    Here the settings end: each argument of the method comes from the field of its name.
    Raises: UsageError if the settings do not fit the method.
    """
    sizes = {"n_inputs": n_inputs, "n_outputs": n_outputs, "n_tasks": n_tasks, "rngs": rngs}
    problem, kind = Problem(**keywords(Problem, settings, **sizes)), METHODS[settings.model]
    return kind(problem, **keywords(kind, settings, **settings.values()))


class Learner:
    """Takes tensors or arrays; `method` is the algorithm itself."""

    def __init__(self, method: Any, n_inputs: int, n_tasks: int) -> None:
        self.method, self._n_inputs, self._n_tasks = method, n_inputs, n_tasks

    def observe(self, x: Any, t: int, y: Any) -> None:
        """Learn a batch of one task: x float (b, n_inputs), t task index, y integer (b,)."""
        self.method.observe(self._rows(x), to_numpy(y, np.int64).reshape(-1), int(t))

    def forward(self, x: Any, t: int) -> "torch.Tensor":
        """Returns logits float32 (n, n_outputs) of rows x (n, n_inputs) of task t."""
        import torch

        return torch.from_numpy(self.method.predict(self._rows(x), int(t)))

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

    def start_from(self, weights: "Mapping[str, torch.Tensor]", where: str) -> None:
        """Take the parameters of a saved model; memories and counters stay empty.

        Args: weights — by the original's names, as `state_dict` gives them; where — begins a message.
        Raises: DataError if their names or shapes are not this learner's.
        """
        own = self.state_dict()
        for name in [*own, *weights]:
            ours, theirs = (tuple(side[name].shape) if name in side else "none" for side in (own, weights))
            if ours != theirs:
                raise DataError(
                    f"{where}: {name[:60]!r} is {theirs} there and {ours} here; it must be of the same kind "
                    "of network, --n_hiddens, --n_layers and data"
                )
        if hasattr(self.method, "load_state_dict"):
            self.method.load_state_dict(dict(weights))
            return
        for t in range(self._n_tasks):  # what all tasks share is written as often, the same each time
            engine, theta = self.method.network(t)
            parts = [weights[name].float().cpu() for name in own if _task_of(name) in (None, t)]
            load_theta(theta, theta_to_numpy(engine.pack(list(zip(parts[::2], parts[1::2], strict=True)))))

    def state_dict(self) -> "dict[str, torch.Tensor]":
        """Returns the parameters under the original's names."""
        weights: dict[str, torch.Tensor] = self.method.state_dict()
        return weights


def _task_of(name: str) -> int | None:
    """The task a parameter belongs to; None if to all."""
    found = re.match(r"(?:nets|i_layer)\.(\d+)\.", name)
    return int(found[1]) if found else None


def build(model: str, n_inputs: int, n_outputs: int, n_tasks: int, args: Any) -> Learner:
    """Returns a fresh learner, seeded by args.seed.

    Args: model — one of `METHODS`; args — `Settings` or any namespace with some of its names (others take
    defaults).
    Raises: UsageError if the settings do not fit the model.
    """
    settings = Settings.from_namespace(args, model=model)
    method = make_method(settings, n_inputs, n_outputs, n_tasks, Rngs(settings.seed))
    return Learner(method, n_inputs, n_tasks)
