"""An input layer per task under shared upper layers."""

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mer_repro.engine import Engine, load_theta, theta_to_numpy
from mer_repro.init import default_linear
from mer_repro.networks import Batch, Problem

if TYPE_CHECKING:
    import torch


class TaskInput:
    """z = O(relu(S(... relu(I_t(x))))): I_t belongs to task t, S and O to all.

    `n_layers` is already one less than the flag (the input layer counts as one).  0 leaves no
    shared hidden layer; -1 leaves one linear map per task, which the original meant to offer but crashed on.
    Differs from the original: all biases start at zero (there only the first shared layer's did).
    """

    def __init__(self, problem: Problem, *, lr: float) -> None:
        hidden = [problem.n_hiddens] * (problem.n_layers + 1)
        sizes = (problem.n_inputs, *hidden, problem.n_outputs)
        draw = [(n_in, n_out) for n_in, n_out in itertools.pairwise(sizes)]
        generator = problem.rngs.torch
        inputs = [default_linear(*draw[0], generator) for _ in range(problem.n_tasks)]
        shared = [default_linear(*pair, generator) for pair in draw[1:]]
        for _, bias in [*inputs, *shared]:
            bias.zero_()
        self.engine = problem.make_engine(sizes)
        self.rate = lr
        self.batch = Batch(self.engine, problem.batch_size)
        # theta always holds the input layer of task `loaded` in its first n_first entries; the others wait
        # in `first`.
        self.theta: Any = self.engine.pack([inputs[0], *shared])
        self.n_first = self.engine.layout.offsets[1]
        self.first = [theta_to_numpy(self.engine.pack([layer, *shared]))[: self.n_first] for layer in inputs]
        self.loaded = 0

    def observe(self, x: NDArray[np.float32], y: NDArray[np.int64], task: int) -> None:
        """Learn a batch x (b, inputs), y (b,) of task t: its input layer and the shared layers move."""
        self._swap_in(task)
        indices = self.batch.put(x, y)
        self.engine.batch(self.theta, self.batch.rows, indices, self.rate)

    def _swap_in(self, t: int) -> None:
        if t != self.loaded:
            self.first[self.loaded] = theta_to_numpy(self.theta[: self.n_first])
            load_theta(self.theta[: self.n_first], self.first[t])
            self.loaded = t

    def predict(self, x: NDArray[np.float32], task: int) -> NDArray[np.float32]:
        """Returns logits (n, classes) of rows x (n, inputs)."""
        self._swap_in(task)
        return self.engine.logits(self.theta, x)

    def network(self, t: int) -> tuple[Engine, Any]:
        """Returns the engine and the parameters that predict task t."""
        self._swap_in(t)
        return self.engine, self.theta

    def state_dict(self) -> "dict[str, torch.Tensor]":
        """Returns i_layer.<t>, h_layer.0.<l> and o_layer.0, each with weight and bias."""
        back = self.loaded
        layers = {}
        for t in range(len(self.first)):
            self._swap_in(t)
            unpacked = self.engine.unpack(self.theta)
            layers[f"i_layer.{t}"] = unpacked[0]
        for place, layer in enumerate(unpacked[1:-1]):
            layers[f"h_layer.0.{place}"] = layer
        if len(unpacked) > 1:
            layers["o_layer.0"] = unpacked[-1]
        self._swap_in(back)
        return {
            f"{name}.{part}": pair[i]
            for name, pair in layers.items()
            for i, part in enumerate(("weight", "bias"))
        }

    def state(self) -> dict[str, Any]:
        """Returns everything an exact continuation needs."""
        return {"theta": theta_to_numpy(self.theta), "first": self.first, "loaded": self.loaded}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        load_theta(self.theta, state["theta"])
        self.first = [np.array(part) for part in state["first"]]
        self.loaded = int(state["loaded"])
