"""The fused engine: network, training rows and mirrored memory, as `methods.agem.AGEM` addresses them.

`reference_engine.ReferenceEngine` has the same methods with plain torch behind them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.kernels import batch, mlp
from ta_agem_repro.networks import Layers, Vector

Indices = NDArray[np.int64]


class FusedEngine:
    """Compiled A-GEM steps on sparse rows.

    Args: layers — initial weights and biases; capacity — slots of the memory.
    """

    name = "fused"

    def __init__(self, layers: Layers, capacity: int) -> None:
        self.layout = mlp.Layout((layers[0][0].shape[0], *(weight.shape[1] for weight, _ in layers)))
        self.theta = batch.aligned(self.layout.n_params)
        self.theta[:] = np.concatenate([part.ravel() for layer in layers for part in layer])
        self._trainer = batch.BatchTrainer(self.layout)
        self._memory = mlp.SparseRows(max(capacity, 1), self.layout.sizes[0])
        self._rows = mlp.SparseRows(1, self.layout.sizes[0])

    def open(self, x: NDArray[np.uint8], y: NDArray[np.int64]) -> None:
        """Take the rows that the next indices count in: x (n, inputs), y (n,)."""
        self._rows = mlp.SparseRows(len(y), x.shape[1])
        scaled = x.astype(np.float32) / np.float32(255)
        self._rows.put_all(scaled, y)

    def remember(self, slot: int, x: Vector, label: int) -> None:
        """Mirror what the memory stored in a slot."""
        self._memory.put(slot, x, label)

    def steps(self, indices: Indices, slots: Indices, rate: float) -> NDArray[np.float64]:
        """One A-GEM step per batch: rows indices[b] with the reference batch in slots[b].

        Returns: float64 (batches, 4): the batch's mean loss before its step, g·r, r·r, g·g (0 without slots).
        """
        return self._trainer.agem_steps(self.theta, self._rows, indices, self._memory, slots, rate)

    def loss(self, indices: NDArray[np.int64]) -> float:
        """Returns the mean cross-entropy of rows `indices`; changes nothing."""
        x, y = self._rows.dense(indices), self._rows.label[indices]
        z = self.logits(x).astype(np.float64)
        z -= z.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]))

    def logits(self, x: Vector) -> Vector:
        """Returns logits float32 (n, 10) of x (n, inputs)."""
        return self._trainer.logits(self.theta, x)

    def layers(self) -> Layers:
        """Returns copies of the weights (fan_in, fan_out) and biases."""
        return [(weight.copy(), bias.copy()) for weight, bias in self.layout.views(self.theta)]

    def state(self) -> dict[str, Any]:
        """Returns parameters and mirrored memory."""
        return {"theta": self.theta.copy(), "memory": self._memory.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.theta[...] = state["theta"]
        self._memory.load(state["memory"])
