"""ReLU multilayer perceptrons on one flat float32 vector: fused one-example SGD, batch gradients, evaluation.

The maths, for layers l = 1..L with a_l = h_{l-1} W_l + b_l, h_l = max(a_l, 0), logits z = a_L and loss
CE = -log softmax(z)[y]:  delta_L = softmax(z) - onehot(y);  delta_l = (W_{l+1} delta_{l+1}) * [a_l > 0];
grad W_l = h_{l-1} (outer) delta_l;  grad b_l = delta_l.  The derivative of ReLU at 0 is 0.

Plain numpy versions (`gradient`, `logits`) are the reference; `Trainer` runs the compiled kernels, which
agree with them to rounding (see core/tests/test_mlp.py).
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Layout:
    """Where the weights and biases of an MLP lie in its flat parameter vector.

    Args: sizes — units per layer, input first, e.g. (784, 100, 100, 10).
    Raises: ValueError if there are fewer than two layers or a size below 1.
    """

    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.sizes) < 2 or min(self.sizes) < 1:
            raise ValueError(
                f"layer sizes {self.sizes}: need at least input and output, each of 1 or more units"
            )

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Start of each layer's block (weights, then bias) in the flat vector."""
        starts = [0]
        for n_in, width in zip(self.sizes, self.sizes[1:], strict=False):
            starts.append(starts[-1] + (n_in + 1) * width)
        return tuple(starts)

    @property
    def n_params(self) -> int:
        """Length of the flat parameter vector."""
        return self.offsets[-1]

    def views(self, theta: NDArray[Any]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """Returns (weight (fan_in, fan_out), bias (fan_out,)) of each layer as views into theta
        (n_params,).
        """
        if theta.shape != (self.n_params,):
            raise ValueError(
                f"parameter vector of shape {theta.shape}; layers {self.sizes} need ({self.n_params},)"
            )
        out = []
        for at, n_in, width in zip(self.offsets, self.sizes, self.sizes[1:], strict=False):
            end = at + n_in * width
            out.append((theta[at:end].reshape(n_in, width), theta[end : end + width]))
        return out


def logits(layout: Layout, theta: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    """Returns logits (n, classes) of the rows x (n, inputs); dtype follows theta."""
    h = x
    layers = layout.views(theta)
    for weight, bias in layers[:-1]:
        h = h @ weight
        h += bias
        np.maximum(h, 0, out=h)
    weight, bias = layers[-1]
    return np.asarray(h @ weight + bias)


def _forward(layout: Layout, theta: NDArray[Any], x: NDArray[Any]) -> tuple[list[NDArray[Any]], NDArray[Any]]:
    """Returns the inputs of every layer and the softmax probabilities."""
    inputs = [x]
    layers = layout.views(theta)
    for weight, bias in layers[:-1]:
        a = inputs[-1] @ weight + bias
        inputs.append(np.maximum(a, 0, out=a))
    weight, bias = layers[-1]
    z = inputs[-1] @ weight + bias
    z -= z.max(axis=1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)
    return inputs, z


def gradient(
    layout: Layout,
    theta: NDArray[Any],
    x: NDArray[Any],
    y: NDArray[np.int64],
    weight: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Returns the flat gradient (n_params,) of sum_i weight[i] * CE(x_i, y_i); default weights 1/n give the
    mean loss.

    Args: x — (n, inputs); y — int64 (n,); weight — (n,), any non-negative numbers.
    """
    one = block_gradients(layout, theta, x[None], y[None], None if weight is None else weight[None])
    return np.asarray(one[0])


def block_gradients(
    layout: Layout,
    theta: NDArray[Any],
    x: NDArray[Any],
    y: NDArray[np.int64],
    weight: NDArray[Any] | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Returns one flat gradient per block, (blocks, n_params): all blocks share one forward and one backward
    pass.

    Args: x — (blocks, rows, inputs); y — int64 (blocks, rows); weight — (blocks, rows), default 1/rows;
        out — (blocks, n_params) to fill.
    Source: GEM needs the gradient of every past task's memory at the same parameters (Lopez-Paz & Ranzato
    2017, eq. 8).
    """
    n_blocks, rows = y.shape
    inputs, delta = _forward(layout, theta, x.reshape(n_blocks * rows, -1))
    delta[np.arange(n_blocks * rows), y.ravel()] -= 1
    delta *= theta.dtype.type(1 / rows) if weight is None else weight.reshape(-1, 1).astype(theta.dtype)
    grad = np.empty((n_blocks, layout.n_params), theta.dtype) if out is None else out
    layers = layout.views(theta)
    for layer in range(len(layers) - 1, -1, -1):
        at, n_in, width = layout.offsets[layer], layout.sizes[layer], layout.sizes[layer + 1]
        h = inputs[layer].reshape(n_blocks, rows, n_in)
        d = delta.reshape(n_blocks, rows, width)
        end = at + n_in * width
        for u in range(n_blocks):
            np.matmul(h[u].T, d[u], out=grad[u, at:end].reshape(n_in, width))
        grad[:, end : end + width] = d.sum(axis=1)
        if layer:
            delta = (delta @ layers[layer][0].T) * (inputs[layer] > 0)
    return grad


class SparseRows:
    """Rows of inputs kept as (pixel numbers, values), with their labels: what the compiled kernels read.

    A slot is overwritten with `put`; slots are numbered 0..capacity-1.  Memory: capacity * (6 * n_inputs +
    12) bytes.
    """

    def __init__(self, capacity: int, n_inputs: int) -> None:
        if n_inputs > np.iinfo(np.uint16).max + 1:
            raise ValueError(f"{n_inputs} inputs: pixel numbers are 16-bit, at most 65536")
        self.index = np.zeros((capacity, n_inputs), np.uint16)
        self.value = np.zeros((capacity, n_inputs), np.float32)
        self.count = np.zeros(capacity, np.int32)
        self.label = np.zeros(capacity, np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.index.nbytes + self.value.nbytes + self.count.nbytes + self.label.nbytes

    def put(self, slot: int, x: Vector, y: int) -> None:
        """Store row x float32 (n_inputs,) with label y in a slot."""
        from clrepro.kernels import mlp_loops

        self.count[slot] = mlp_loops.dense_to_sparse(x, self.index[slot], self.value[slot])
        self.label[slot] = y

    def put_all(self, x: Vector, y: NDArray[np.int64]) -> None:
        """Store rows x float32 (capacity, n_inputs) with labels y (capacity,) in all slots."""
        from clrepro.kernels import mlp_loops

        mlp_loops.rows_to_sparse(x, self.index, self.value, self.count)
        self.label[:] = y

    def copy(self, source: int, target: int) -> None:
        """Copy one slot over another."""
        n = self.count[source]
        self.index[target, :n] = self.index[source, :n]
        self.value[target, :n] = self.value[source, :n]
        self.count[target] = n
        self.label[target] = self.label[source]

    def dense(self, slots: NDArray[np.int64]) -> Vector:
        """Returns the rows of the given slots as float32 (n, n_inputs)."""
        out = np.zeros((len(slots), self.index.shape[1]), np.float32)
        for row, slot in enumerate(slots):
            n = self.count[slot]
            out[row, self.index[slot, :n]] = self.value[slot, :n]
        return out

    def state(self) -> dict[str, NDArray[Any]]:
        """Returns copies of everything stored."""
        return {name: getattr(self, name).copy() for name in ("index", "value", "count", "label")}

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        """Restore what `state` returned.  Raises: ValueError for another capacity or number of inputs."""
        own = self.state()
        wrong = [
            name for name, array in own.items() if name not in state or np.shape(state[name]) != array.shape
        ]
        if wrong or state.keys() != own.keys():
            raise ValueError(f"state {sorted(state)} of other shapes than these {len(self.label)} rows have")
        for name in own:
            getattr(self, name)[...] = state[name]


@dataclass
class Trainer:
    """Runs the compiled kernels for one layout; owns the work space, so use one per thread.

    theta (n_params,) float32 is always the caller's and is changed in place.
    """

    layout: Layout
    _sizes: NDArray[np.int64] = field(init=False, repr=False)
    _offsets: NDArray[np.int64] = field(init=False, repr=False)
    _act: Vector = field(init=False, repr=False)
    _error: Vector = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._sizes = np.array(self.layout.sizes, np.int64)
        self._offsets = np.array(self.layout.offsets, np.int64)
        self._reserve(1)

    def _reserve(self, rows: int) -> None:
        shape = (rows, len(self.layout.sizes) - 1, max(self.layout.sizes[1:]))
        self._act, self._error = np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    def sgd_steps(
        self,
        theta: Vector,
        rows: SparseRows,
        indices: NDArray[np.int64],
        rate: float,
        scale: Vector | None = None,
    ) -> None:
        """One SGD step per picked slot, in order; scale (n,) multiplies each step's loss (default 1)."""
        from clrepro.kernels import mlp_loops

        scale = np.ones(len(indices), np.float32) if scale is None else scale
        mlp_loops.sgd_steps(
            theta, self._sizes, self._offsets, rows.index, rows.value, rows.count, rows.label,
            indices, scale, np.float32(rate), self._act[0], self._error[0],
        )  # fmt: skip

    def sgd_batch(
        self, theta: Vector, rows: SparseRows, indices: NDArray[np.int64], rate: float, weight: Vector
    ) -> None:
        """One SGD step on sum_i weight[i] * CE(slot indices[i]); weights 1/n give the mean loss."""
        from clrepro.kernels import mlp_loops

        if len(indices) > len(self._act):
            self._reserve(len(indices))
        mlp_loops.sgd_batch(
            theta, self._sizes, self._offsets, rows.index, rows.value, rows.count, rows.label,
            indices, weight, np.float32(rate), self._act, self._error,
        )  # fmt: skip


def interpolate(theta: Vector, start: Vector, rate: float) -> None:
    """theta <- start + rate * (theta - start), in place (Reptile's update; Nichol et al. 2018)."""
    from clrepro.kernels import mlp_loops

    mlp_loops.interpolate(theta, start, np.float32(rate))
