"""The reference engine: the methods of `fused_engine.FusedEngine`, with torch's autograd and optimizer
behind them.

The plain reading of the algorithm, on any device; the fused engine is tested and timed against it.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clrepro.adapters.tensor_columns import TensorColumns
from ta_agem_repro.agem import AGEMHandler
from ta_agem_repro.networks import Layers, Vector, network

Indices = NDArray[np.int64]


class ReferenceEngine:
    """A-GEM by `AGEMHandler` and torch.optim.SGD.

    Args: layers — initial weights and biases; capacity — slots of the memory; device — of torch.
    """

    name = "reference"

    def __init__(self, layers: Layers, capacity: int, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.model = network(layers).to(self.device)
        self._optimizer = torch.optim.SGD(self.model.parameters(), lr=1.0)
        self._agem = AGEMHandler(self.model, nn.CrossEntropyLoss(), self._optimizer, self.device)
        width = layers[0][0].shape[0]
        self._memory = TensorColumns(max(capacity, 1))
        self._x: Tensor = torch.empty(0, width)
        self._y: Tensor = torch.empty(0, dtype=torch.int64)

    def open(self, x: NDArray[np.uint8], y: NDArray[np.int64]) -> None:
        """Take the rows that the next indices count in: x (n, inputs), y (n,)."""
        self._x = torch.from_numpy(x).to(self.device, torch.float32) / 255
        self._y = torch.from_numpy(y).to(self.device)

    def remember(self, slot: int, x: Vector, label: int) -> None:
        """Mirror what the memory stored in a slot."""
        y = torch.tensor([label], device=self.device)
        self._memory.write([slot], x=torch.from_numpy(x[None]).to(self.device), y=y)

    def steps(self, indices: Indices, slots: Indices, rate: float) -> NDArray[np.float64]:
        """One A-GEM step per batch; returns float64 (batches, 4): the batch's mean loss before its step, g·r,
        r·r, g·g (0 without slots).
        """
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        out = np.empty((len(indices), 4))
        for b in range(len(indices)):
            rows = torch.from_numpy(indices[b]).to(self.device)
            held = self._memory.read(slots[b]) if len(slots[b]) else {}
            loss = self._agem.step(self._x[rows], self._y[rows], held.get("x"), held.get("y"))
            out[b] = loss, *self._agem.last_products
        return out

    def loss(self, indices: NDArray[np.int64]) -> float:
        """Returns the mean cross-entropy of rows `indices`; changes nothing."""
        rows = torch.from_numpy(indices).to(self.device)
        with torch.no_grad():
            return float(nn.functional.cross_entropy(self.model(self._x[rows]), self._y[rows]))

    def logits(self, x: Vector) -> Vector:
        """Returns logits float32 (n, 10) of x (n, inputs)."""
        with torch.no_grad():
            out: Vector = self.model(torch.from_numpy(x).to(self.device)).cpu().numpy()
        return out

    def layers(self) -> Layers:
        """Returns copies of the weights (fan_in, fan_out) and biases."""
        linears = [part for part in self.model if isinstance(part, nn.Linear)]
        return [
            (linear.weight.detach().cpu().numpy().T.copy(), linear.bias.detach().cpu().numpy().copy())
            for linear in linears
        ]

    def state(self) -> dict[str, Any]:
        """Returns parameters and mirrored memory."""
        parts = [part for layer in self.layers() for part in layer]
        return {"parts": parts, **self._memory.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        parts = state["parts"]
        with torch.no_grad():
            for i, linear in enumerate(part for part in self.model if isinstance(part, nn.Linear)):
                linear.weight.copy_(torch.from_numpy(np.ascontiguousarray(parts[2 * i].T)))
                linear.bias.copy_(torch.from_numpy(parts[2 * i + 1]))
        self._memory.load({name: state[name] for name in ("x", "y") if name in state}, self.device)
