"""The two engines: the same few operations on a flat parameter vector, in torch (reference) and compiled
(fused).

A method calls nothing else, so its file reads like the paper's algorithm and runs on either.  `theta` is a
float32 vector (n_params,), a numpy array in the fused engine and a tensor in the reference; both understand
`theta[...]`.
"""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clrepro.adapters.torch import pick_device, use_one_thread
from clrepro.kernels import mlp

if TYPE_CHECKING:
    import torch

Indices = NDArray[np.int64]


class FusedEngine:
    """Numpy and compiled kernels; weights input-major, inputs sparse.  CPU, one thread."""

    name = "fused"

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.layout = mlp.Layout(sizes)
        self._trainer = mlp.Trainer(self.layout)

    def store(self, capacity: int) -> mlp.SparseRows:
        """Returns empty slots for `capacity` examples."""
        return mlp.SparseRows(capacity, self.layout.sizes[0])

    def pack(self, layers: Any) -> mlp.Vector:
        """Returns theta from torch Linear tensors (weight (out, in), bias (out,)) per layer."""
        parts = [part for weight, bias in layers for part in (weight.T.reshape(-1), bias)]
        return np.concatenate([np.asarray(p.numpy(), np.float32) for p in parts])

    def unpack(self, theta: mlp.Vector) -> "list[tuple[torch.Tensor, torch.Tensor]]":
        """Returns torch Linear tensors per layer, copied from theta."""
        import torch

        views = self.layout.views(theta)
        return [(torch.from_numpy(w.T.copy()), torch.from_numpy(b.copy())) for w, b in views]

    def steps(
        self, theta: mlp.Vector, rows: mlp.SparseRows, indices: Indices, rate: float, scale: Any = None
    ) -> None:
        """One SGD step per pick, one example each, in order; `scale` (n,) multiplies the losses."""
        self._trainer.sgd_steps(theta, rows, indices, rate, scale)

    def batch(
        self, theta: mlp.Vector, rows: mlp.SparseRows, indices: Indices, rate: float, weight: Any = None
    ) -> None:
        """One SGD step on the weighted sum of cross-entropies (default: their mean)."""
        if weight is None:
            weight = np.full(len(indices), 1 / len(indices), np.float32)
        self._trainer.sgd_batch(theta, rows, indices, rate, weight)

    def gradient(self, theta: mlp.Vector, rows: mlp.SparseRows, indices: Indices) -> mlp.Vector:
        """Returns the flat gradient of the mean cross-entropy over the picked slots."""
        return mlp.gradient(self.layout, theta, rows.dense(indices), rows.label[indices])

    def descend(self, theta: mlp.Vector, direction: Any, rate: float) -> None:
        """theta <- theta - rate * direction."""
        theta -= np.float32(rate) * direction

    def interpolate(self, theta: mlp.Vector, start: mlp.Vector, rate: float) -> None:
        """theta <- start + rate * (theta - start)."""
        mlp.interpolate(theta, start, rate)

    def copy(self, theta: mlp.Vector) -> mlp.Vector:
        """Returns a copy of theta."""
        return theta.copy()

    def logits(self, theta: mlp.Vector, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns logits (n, classes) for dense rows x (n, inputs)."""
        return mlp.logits(self.layout, theta, x)


class TorchRows:
    """Dense slots on the engine's device; the face of `clrepro.kernels.mlp.SparseRows`."""

    def __init__(self, capacity: int, n_inputs: int, device: "torch.device") -> None:
        import torch

        self.x = torch.zeros(capacity, n_inputs, device=device)
        self.y = torch.zeros(capacity, dtype=torch.int64, device=device)

    def put(self, slot: int, x: NDArray[np.float32], y: int) -> None:
        """Store row x float32 (n_inputs,) with label y."""
        import torch

        self.x[slot] = torch.from_numpy(x)
        self.y[slot] = int(y)

    def copy(self, source: int, target: int) -> None:
        """Copy one slot over another."""
        self.x[target], self.y[target] = self.x[source], self.y[source]

    @property
    def label(self) -> NDArray[np.int64]:
        """Labels int64 (capacity,)."""
        return np.asarray(self.y.cpu().numpy())

    def dense(self, slots: Indices) -> NDArray[np.float32]:
        """Returns rows float32 (n, n_inputs)."""
        return np.asarray(self.x[slots].cpu().numpy())

    def state(self) -> dict[str, NDArray[Any]]:
        """Returns copies of everything stored."""
        return {"x": self.x.cpu().numpy().copy(), "y": self.y.cpu().numpy().copy()}

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        """Restore what `state` returned.  Raises: ValueError for another capacity or number of inputs."""
        import torch

        if state["x"].shape != tuple(self.x.shape) or state["y"].shape != tuple(self.y.shape):
            raise ValueError(f"state of rows {state['x'].shape}: here {tuple(self.x.shape)}")
        self.x.copy_(torch.from_numpy(state["x"]))
        self.y.copy_(torch.from_numpy(state["y"]))


class TorchEngine:
    """Autograd on views into theta, one optimiser-free SGD step at a time: the plain reading of the
    algorithms.
    """

    name = "reference"

    def __init__(self, sizes: tuple[int, ...], cuda: bool = False) -> None:
        use_one_thread()
        self.layout = mlp.Layout(sizes)
        self.device = pick_device("cuda" if cuda else "cpu", "--cuda yes")

    def store(self, capacity: int) -> TorchRows:
        """Returns empty slots for `capacity` examples."""
        return TorchRows(capacity, self.layout.sizes[0], self.device)

    def pack(self, layers: Any) -> "torch.Tensor":
        """Returns theta from Linear tensors per layer; torch keeps weights output-major."""
        import torch

        return torch.cat([part.reshape(-1) for pair in layers for part in pair]).to(self.device)

    def unpack(self, theta: "torch.Tensor") -> "list[tuple[torch.Tensor, torch.Tensor]]":
        """Returns Linear tensors per layer on the CPU, copied from theta."""
        views = self._views(theta)
        return [(w.detach().cpu().clone(), b.detach().cpu().clone()) for w, b in views]

    def _views(self, theta: "torch.Tensor") -> "list[tuple[torch.Tensor, torch.Tensor]]":
        out = []
        sizes = self.layout.sizes
        for at, n_in, width in zip(self.layout.offsets, sizes, sizes[1:], strict=False):
            end = at + n_in * width
            out.append((theta[at:end].view(width, n_in), theta[end : end + width]))
        return out

    def _forward(self, theta: "torch.Tensor", x: "torch.Tensor") -> "torch.Tensor":
        from torch.nn import functional

        views = self._views(theta)
        for weight, bias in views[:-1]:
            x = functional.linear(x, weight, bias).relu()
        return functional.linear(x, *views[-1])

    def _gradient(
        self, theta: "torch.Tensor", rows: TorchRows, indices: Indices, scale: Any
    ) -> "torch.Tensor":
        """Returns grad of the mean loss (scale None), of scale * loss (number), or of a weighted sum
        (array).
        """
        import torch
        from torch.nn import functional

        leaf = theta.detach().requires_grad_()  # shares memory: an update of theta is seen by the next call
        logits = self._forward(leaf, rows.x[indices])
        if isinstance(scale, np.ndarray):
            each = functional.cross_entropy(logits, rows.y[indices], reduction="none")
            loss = (each * torch.from_numpy(scale).to(self.device)).sum()
        else:
            loss = functional.cross_entropy(logits, rows.y[indices])
            loss = loss if scale is None else float(scale) * loss
        return torch.autograd.grad(loss, leaf)[0]

    def steps(
        self, theta: "torch.Tensor", rows: TorchRows, indices: Indices, rate: float, scale: Any = None
    ) -> None:
        """One SGD step per pick, one example each, in order; `scale` (n,) multiplies the losses."""
        for i in range(len(indices)):
            one = self._gradient(theta, rows, indices[i : i + 1], None if scale is None else scale[i])
            theta.add_(one, alpha=-rate)

    def batch(
        self, theta: "torch.Tensor", rows: TorchRows, indices: Indices, rate: float, weight: Any = None
    ) -> None:
        """One SGD step on the weighted sum of cross-entropies (default: their mean)."""
        theta.add_(self._gradient(theta, rows, indices, weight), alpha=-rate)

    def gradient(self, theta: "torch.Tensor", rows: TorchRows, indices: Indices) -> "torch.Tensor":
        """Returns the flat gradient of the mean cross-entropy over the picked slots."""
        return self._gradient(theta, rows, indices, None)

    def descend(self, theta: "torch.Tensor", direction: Any, rate: float) -> None:
        """theta <- theta - rate * direction."""
        import torch

        theta.add_(torch.as_tensor(direction, dtype=theta.dtype, device=self.device), alpha=-rate)

    def interpolate(self, theta: "torch.Tensor", start: "torch.Tensor", rate: float) -> None:
        """theta <- start + rate * (theta - start)."""
        theta.sub_(start).mul_(rate).add_(start)

    def copy(self, theta: "torch.Tensor") -> "torch.Tensor":
        """Returns a copy of theta."""
        return theta.clone()

    def logits(self, theta: "torch.Tensor", x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns logits (n, classes) for dense rows x (n, inputs)."""
        import torch

        with torch.no_grad():
            return np.asarray(self._forward(theta, torch.from_numpy(x).to(self.device)).cpu().numpy())


class Engine(Protocol):
    """What a method may ask of an engine; theta and rows are the engine's own kinds of vector and store."""

    name: str
    layout: mlp.Layout

    def store(self, capacity: int) -> Any:
        """Returns empty slots for `capacity` examples."""

    def pack(self, layers: Any) -> Any:
        """Returns theta from torch Linear tensors (weight (out, in), bias (out,)) per layer."""

    def unpack(self, theta: Any) -> Any:
        """Returns torch Linear tensors per layer, copied from theta."""

    def steps(self, theta: Any, rows: Any, indices: Indices, rate: float, scale: Any = None) -> None:
        """One SGD step per pick, one example each, in order; `scale` (n,) multiplies the losses."""

    def batch(self, theta: Any, rows: Any, indices: Indices, rate: float, weight: Any = None) -> None:
        """One SGD step on the weighted sum of cross-entropies (default: their mean)."""

    def gradient(self, theta: Any, rows: Any, indices: Indices) -> Any:
        """Returns the flat gradient of the mean cross-entropy over the picked slots."""

    def descend(self, theta: Any, direction: Any, rate: float) -> None:
        """theta <- theta - rate * direction."""

    def interpolate(self, theta: Any, start: Any, rate: float) -> None:
        """theta <- start + rate * (theta - start)."""

    def copy(self, theta: Any) -> Any:
        """Returns a copy of theta."""

    def logits(self, theta: Any, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns logits (n, classes) for dense rows x (n, inputs)."""


def make_engine(choice: str, sizes: tuple[int, ...], cuda: bool) -> Engine:
    """Returns the engine for `--engine`: auto is fused on the CPU and torch on a GPU.

    Raises: UsageError if a GPU is asked for and there is none.
    """
    if choice == "reference" or (choice == "auto" and cuda):
        return TorchEngine(sizes, cuda)
    return FusedEngine(sizes)


def theta_to_numpy(theta: Any) -> NDArray[np.float32]:
    """Returns theta of either engine as a numpy copy, for checkpoints."""
    array = theta.cpu().numpy() if hasattr(theta, "cpu") else theta
    return np.array(array, np.float32)


def load_theta(theta: Any, saved: NDArray[np.float32]) -> None:
    """Overwrite theta of either engine in place.  Raises: ValueError for another number of parameters."""
    if np.shape(saved) != tuple(theta.shape):
        raise ValueError(f"{np.shape(saved)} parameters saved: this network has {tuple(theta.shape)}")
    if hasattr(theta, "cpu"):
        import torch

        theta.copy_(torch.from_numpy(np.array(saved, np.float32)))
    else:
        theta[...] = saved
