"""What every method is given, and the one shared network that most of them train."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mer_repro.engine import Engine, load_theta, make_engine, theta_to_numpy
from mer_repro.init import glorot_mlp
from mer_repro.rngs import Rngs
from mer_repro.sampling import FastSampler, LegacySampler, Sampler

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is learnt by which network: sizes, the engine that computes, the run's generators.

    Attributes: n_layers — hidden layers of n_hiddens units; engine, cuda — see `engine.make_engine`;
        sampler — "fast", "legacy" (the original's draws) or "auto": legacy for the reference engine alone;
        rngs — what every random choice is drawn from.
    """

    n_inputs: int
    n_outputs: int
    n_tasks: int
    rngs: Rngs
    n_hiddens: int = 100
    n_layers: int = 2
    batch_size: int = 1
    engine: str = "auto"
    cuda: bool = False
    sampler: str = "auto"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Layer sizes of the shared network: inputs, hidden layers, classes."""
        return (self.n_inputs, *[self.n_hiddens] * self.n_layers, self.n_outputs)

    def make_engine(self, sizes: tuple[int, ...]) -> Engine:
        """Returns an engine for a network of these sizes."""
        return make_engine(self.engine, sizes, self.cuda)

    def make_sampler(self, engine: Engine, memories: int) -> Sampler:
        """Returns the sampler of a replay memory with so many slots."""
        if self.sampler == "legacy" or (self.sampler == "auto" and self.engine == "reference"):
            return LegacySampler(memories, self.rngs.python, compiled=engine.name == "fused")
        return FastSampler(memories, self.rngs.fast.generator("memory"))


class Batch:
    """Slots for the incoming batch, from which the engine reads."""

    def __init__(self, engine: Engine, size: int) -> None:
        self._engine = engine
        self._size = size
        self.rows: Any = engine.store(size)

    def put(self, x: NDArray[np.float32], y: NDArray[np.int64]) -> NDArray[np.int64]:
        """Store a batch x (b, inputs), y (b,); returns its slots."""
        if len(y) > self._size:
            self._size, self.rows = len(y), self._engine.store(len(y))
        for slot in range(len(y)):
            self.rows.put(slot, x[slot], int(y[slot]))
        return np.arange(len(y))


class SharedNetwork:
    """One network for all tasks: engine, parameters and the batch being learned."""

    def __init__(self, problem: Problem, lr: float) -> None:
        self.engine = problem.make_engine(problem.sizes)
        self.theta: Any = self.engine.pack(glorot_mlp(problem.sizes, problem.rngs.torch))
        self.rate = lr
        self.batch = Batch(self.engine, problem.batch_size)

    def step(self, x: NDArray[np.float32], y: NDArray[np.int64]) -> None:
        """One SGD step on the mean loss of a batch: x (b, inputs), y (b,)."""
        indices = self.batch.put(x, y)
        self.engine.batch(self.theta, self.batch.rows, indices, self.rate)

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns logits (n, classes) of rows x (n, inputs)."""
        return self.engine.logits(self.theta, x)

    def linears(self) -> "dict[str, torch.Tensor]":
        """Returns the state dict of the original's network: net.net.{0,2,4}.{weight,bias}."""
        return named_linears("net.net", self.engine.unpack(self.theta))

    def state(self) -> dict[str, Any]:
        """Returns the parameters."""
        return {"theta": theta_to_numpy(self.theta)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from saved parameters."""
        load_theta(self.theta, state["theta"])


def named_linears(prefix: str, layers: Any) -> "dict[str, torch.Tensor]":
    """Returns {prefix.{2l}.weight, prefix.{2l}.bias}: a Sequential counts the ReLU between two Linear
    layers.
    """
    out = {}
    for place, (weight, bias) in enumerate(layers):
        out[f"{prefix}.{2 * place}.weight"], out[f"{prefix}.{2 * place}.bias"] = weight, bias
    return out
