"""Mini-batches on a ReLU MLP, many steps per call: SGD with momentum and dropout, and A-GEM."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.kernels.mlp import Layout, SparseRows, Vector

_LANES, _ROWS = 16, 4  # what clrepro.kernels.row_tiles pads to; not imported, that would load the compiler


def _padded(n: int, to: int) -> int:
    return -(-n // to) * to


def aligned(*shape: int) -> Vector:
    """Returns float32 zeros that start on a cache line: what lies across two costs the kernels a quarter."""
    n = int(np.prod(shape))
    space = np.zeros(n + _LANES, np.float32)
    start = -(space.ctypes.data // 4) % _LANES
    return space[start : start + n].reshape(shape)


@dataclass
class BatchTrainer:
    """Runs the blocked kernels for one layout; owns the work space, so use one per thread."""

    layout: Layout
    _sizes: NDArray[np.int64] = field(init=False, repr=False)
    _offsets: NDArray[np.int64] = field(init=False, repr=False)
    _capacity: int = field(init=False, repr=False, default=0)
    _space: tuple[NDArray[Any], ...] = field(init=False, repr=False, default=())

    def __post_init__(self) -> None:
        self._sizes, self._offsets = np.array(self.layout.sizes), np.array(self.layout.offsets)

    def _reserve(self, rows: int) -> None:
        """Make the work space large enough for so many rows."""
        if rows <= self._capacity:
            return
        sizes, rows = self.layout.sizes, _padded(rows, _ROWS)
        layers, groups, units = len(sizes) - 1, rows // _ROWS, _padded(max(sizes) + 1, _ROWS)
        width = _padded(max(sizes[1:]), _LANES)
        self._space = (
            aligned(rows, _padded(sizes[0], _LANES)),  # inputs
            np.zeros((layers, groups, units), np.int64),  # units in use, their values, their number
            np.zeros((layers, groups, _ROWS * units), np.float32),
            np.zeros((layers, groups), np.int64),
            np.zeros(units, np.int64),  # the same for one group on its way back
            np.zeros(_ROWS * units, np.float32),
            aligned(width, width),  # a layer's weights, transposed
            aligned(layers, rows, width),  # outputs
            aligned(layers, rows, width),  # errors
            np.zeros(rows + 1, np.float32),  # step sizes
            aligned(0, rows, width),  # no dropout
        )
        self._capacity = rows

    def agem_steps(
        self,
        theta: Vector,
        rows: SparseRows,
        indices: NDArray[np.int64],
        memory: SparseRows,
        memory_indices: NDArray[np.int64],
        rate: float,
    ) -> NDArray[np.float64]:
        """One step per batch, in order: theta <- theta - rate * (g - min(g·r, 0) / (r·r) · r), g and r the
        gradients of the mean loss over indices[b] of rows and over memory_indices[b] of memory.

        Args: theta — float32 (n_params,), changed in place; indices — int64 (batches, n); memory_indices —
            int64 (batches, m), m = 0: plain SGD.
        Returns: float64 (batches, 4): mean loss over the batch before its step, g·r, r·r, g·g (0 without
            memory).
        Raises: ValueError if the two differ in their number of batches.
        Source: Chaudhry et al. 2019, eq. 11.
        """
        from clrepro.kernels import agem_step

        if len(indices) != len(memory_indices):
            raise ValueError(
                f"{len(indices)} batches and {len(memory_indices)} reference batches: need as many"
            )
        self._reserve(indices.shape[1] + memory_indices.shape[1])
        out = np.empty((len(indices), 4))
        agem_step.agem_steps(
            theta, self._sizes, self._offsets, rows.index, rows.value, rows.count,
            rows.label, np.ascontiguousarray(indices), memory.index, memory.value, memory.count, memory.label,
            np.ascontiguousarray(memory_indices), np.float32(rate), *self._space, out,
        )  # fmt: skip
        return out

    def sgd_steps(
        self,
        theta: Vector,
        velocity: Vector | None,
        x: NDArray[Any],
        y: NDArray[np.int64],
        indices: NDArray[np.int64],
        rate: float,
        momentum: float = 0.0,
        *,
        keep: Vector | None = None,
        classes: tuple[int, int] | None = None,
    ) -> NDArray[np.float64]:
        """One step per batch, in order, on the mean cross-entropy of rows indices[b] of x and y:
        v <- momentum v + g, theta <- theta - rate v.

        Args: theta, velocity — float32 (n_params,), changed in place; velocity None: plain SGD.  What is kept
            of it between calls is momentum * v.  x — uint8 (n, inputs), taken as x / 255, or float32 as it
            is; y — int64 (n,); indices — int64 (batches, n); keep — float32
            `keep_shape(batches, n)`: what multiplies the outputs of hidden units, 0 or 1/(1-p); classes —
            (low, high), the outputs that take part, default all.
        Returns: float64 (batches,), the loss before each step.
        Raises: ValueError for a keep of another shape, or momentum without a velocity.
        """
        from clrepro.kernels import minibatch

        n_batches, n = indices.shape
        self._reserve(n)
        if keep is not None and keep.shape != self.keep_shape(n_batches, n):
            raise ValueError(f"keep {keep.shape}: must be {self.keep_shape(n_batches, n)}")
        if momentum and velocity is None:
            raise ValueError("momentum needs a velocity")
        low, high = classes or (0, self.layout.sizes[-1])
        keep = np.empty((0, 0, 0, 0), np.float32) if keep is None else keep
        out = np.empty(n_batches)
        minibatch.sgd_steps(
            theta, np.empty(0, np.float32) if velocity is None else velocity, self._sizes, self._offsets,
            x, np.float32(255 if x.dtype == np.uint8 else 1), y, np.ascontiguousarray(indices),
            np.float32(rate), np.float32(momentum), low, high, keep,
            *self._space, out,
        )  # fmt: skip
        return out

    def keep_shape(self, batches: int, n: int) -> tuple[int, int, int, int]:
        """Returns the shape of `keep` for so many batches of n rows: padded rows and widths."""
        self._reserve(n)
        layers, rows, width = self._space[-4].shape
        return batches, layers - 1, rows, width

    def logits(self, theta: Vector, x: Vector) -> Vector:
        """Returns float32 (n, classes): the network's outputs for the rows of x float32 (n, inputs).

        Four rows at a time, black inputs skipped: on images four times as fast as a matrix product.
        """
        from clrepro.kernels import forward_backward

        self._reserve(_ROWS)
        _, units, values, n_units, *_, act, _, _, none = self._space
        n = len(x)
        whole, out = n - n % _ROWS, np.empty((_padded(n, _ROWS), self.layout.sizes[-1]), np.float32)
        last = np.zeros((_ROWS if n % _ROWS else 0, x.shape[1]), np.float32)
        last[: n - whole] = x[whole:]
        for rows, target in ((x[:whole], out[:whole]), (last, out[whole:])):
            forward_backward.forward_rows(
                theta, self._sizes, self._offsets, np.ascontiguousarray(rows), units, values, n_units, act,
                none, target,
            )  # fmt: skip
        return out[:n]
