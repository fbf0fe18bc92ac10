"""GEM's past gradients from large memories: everything packed once per task, nothing allocated per step.

The first layer takes nine tenths of the arithmetic, and four fifths of its inputs are black.  So its two
products run over the non-zero pixels only (`clrepro.kernels.sparse`); all others are one BLAS call each.  A
bias counts as the weight of an input of one: it stands as a last column in every layer's inputs, and last in
every block of theta.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import sgemm
from scipy.sparse import csr_array

from clrepro.kernels import mlp
from clrepro.kernels.sparse import SparseMatrix, gram, tiled
from mer_repro.engine import FusedEngine
from mer_repro.gem_gradients import REFRESH, Array, factors


class PackedPast:
    """One gradient per finished task, written out only where a constraint is violated.

    Its first layer keeps the active pixels alone: those that are not black in all memories.
    """

    def __init__(self, engine: FusedEngine, rows: mlp.SparseRows, blocks: list[NDArray[np.int64]]) -> None:
        self._layout = layout = engine.layout
        slots = np.concatenate(blocks)
        self._label, n = rows.label[slots], len(slots)
        self._ends = np.cumsum([len(block) for block in blocks])
        self._starts = self._ends - [len(block) for block in blocks]
        self._weight = np.repeat([1 / len(block) for block in blocks], self._ends - self._starts)
        self._weight = self._weight.astype(np.float32)
        self._pack(rows.dense(slots))
        widths, (n_active, n_tasks) = layout.sizes[1:], (len(self._active), len(blocks))
        self._table = tiled(n_active + 1, widths[0] + 1)  # of the first layer; makes the next one's ones
        self._table[-1, widths[0]] = 1
        self._first = tiled(n, widths[0] + 1)  # outputs of the first layer, before the ReLU
        self._hidden = [tiled(n, width + 1) for width in widths[:-1]]
        for hidden, width in zip(self._hidden, widths, strict=False):
            hidden[:, width] = 1
        self._errors = [tiled(n, width + 1) for width in widths]
        padded = -(-n_tasks // 4) * 4
        pixels = tiled(padded * (n_active + 1), widths[0] + 1)
        self._past = pixels.reshape(padded, -1), tiled(padded, layout.n_params - self._end_of_first)
        self._stale, self._age = True, 0

    def _pack(self, x: Array) -> None:
        """Keep rows x (n, pixels) as sparse rows over active pixels and one, and turned, task by task."""
        self._active = np.flatnonzero(x.any(axis=0))
        x = np.hstack([x[:, self._active], np.ones((len(x), 1), np.float32)])
        self._x, self._x_rows = SparseMatrix.from_dense(x), csr_array(x)
        self._turned = [
            SparseMatrix.from_dense(np.ascontiguousarray(x[start:end].T))
            for start, end in zip(self._starts, self._ends, strict=True)
        ]

    @property
    def _end_of_first(self) -> int:
        """Where the first layer's block of theta ends."""
        return (self._layout.sizes[0] + 1) * self._layout.sizes[1]

    def _blocks(self, theta: Array) -> list[Array]:
        """Weights and bias of each layer as views (inputs + 1, outputs) into theta."""
        sizes, offsets = self._layout.sizes, self._layout.offsets
        return [
            theta[at : at + (n_in + 1) * width].reshape(n_in + 1, width)
            for at, n_in, width in zip(offsets, sizes, sizes[1:], strict=False)
        ]

    def compare(
        self, theta: Array, staged: mlp.SparseRows, indices: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Returns G g (t,): each past gradient times the present one, at theta."""
        x = staged.dense(indices)
        self._g_inputs, errors = factors(self._layout, theta, x, staged.label[indices], None)
        self._g_errors = [error / np.float32(len(indices)) for error in errors]
        self._passes(self._blocks(theta))
        one = np.ones((len(x), 1), np.float32)
        self._met = self._x_rows @ np.hstack([x[:, self._active], one]).T
        products = self._met * self._with(self._errors[0], self._g_errors[0])
        for layer, hidden in enumerate(self._hidden, 1):
            near = self._with(hidden, np.hstack([self._g_inputs[layer], one]))
            products += near * self._with(self._errors[layer], self._g_errors[layer])
        self._written = False
        return np.add.reduceat(products.sum(axis=1, dtype=np.float64), self._starts)

    @staticmethod
    def _with(rows: Array, other: Array) -> Array:
        """Products (n, b) of padded rows with the rows of the present batch."""
        return np.asarray(rows[:, : other.shape[1]] @ other.T)

    def _passes(self, blocks: list[Array]) -> None:
        """Fill hidden and errors for all rows; errors carry the weight of a row in its task's mean."""
        from clrepro.kernels.sparse_tiles import keep_where_positive, softmax_errors

        if self._stale or self._age >= REFRESH:
            width = blocks[0].shape[1]
            self._table[:-1, :width], self._table[-1, :width] = blocks[0][self._active], blocks[0][-1]
            self._x.times(self._table, self._first)
            self._stale, self._age = False, 0
        out, top = self._first, len(blocks) - 1
        for layer, hidden in enumerate(self._hidden):
            n_in, width = blocks[layer + 1].shape
            if layer:
                np.maximum(out, 0, out=out)
            else:
                np.maximum(out, 0, out=hidden)
            out = self._hidden[layer + 1] if layer + 1 < top else self._errors[top]
            np.matmul(hidden[:, :n_in], blocks[layer + 1], out=out[:, :width])
        if not self._hidden:
            self._errors[0][:, : blocks[0].shape[1]] = self._first[:, : blocks[0].shape[1]]
        softmax_errors(self._errors[top][:, : blocks[top].shape[1]], self._label, self._weight)
        for layer in range(top, 0, -1):
            n_in, width = blocks[layer].shape
            below = self._errors[layer - 1]
            np.matmul(self._errors[layer][:, :width], blocks[layer][:-1].T, out=below[:, : n_in - 1])
            keep_where_positive(self._hidden[layer - 1], below)

    def _write_out(self) -> None:
        """Form G, once per step and only if a constraint is violated."""
        if self._written:
            return
        pixels, rest = self._past
        for u, (start, end) in enumerate(zip(self._starts, self._ends, strict=True)):
            self._turned[u].times(self._errors[0][start:end], pixels[u].reshape(-1, self._first.shape[1]))
        at = 0
        for layer, hidden in enumerate(self._hidden, 1):
            n_in, width = self._layout.sizes[layer] + 1, self._layout.sizes[layer + 1]
            for u, (start, end) in enumerate(zip(self._starts, self._ends, strict=True)):
                block = rest[u, at : at + n_in * width].reshape(n_in, width)
                np.matmul(hidden[start:end, :n_in].T, self._errors[layer][start:end, :width], out=block)
            at += n_in * width
        self._written = True

    def gram(self) -> NDArray[np.float64]:
        """Returns G G' (t, t), at the parameters last compared."""
        self._write_out()
        n = len(self._starts)
        return gram(self._past)[:n, :n]

    def written_out(self) -> Array:
        """Returns G (t, n_params), at the parameters last compared."""
        self._write_out()
        pixels, rest = self._past
        out = np.zeros((len(self._starts), self._layout.n_params), np.float32)
        for u, row in enumerate(out):
            first, block = self._blocks(row)[0], pixels[u].reshape(len(self._active) + 1, -1)
            first[self._active], first[-1] = block[:-1, : first.shape[1]], block[-1, : first.shape[1]]
            row[self._end_of_first :] = rest[u, : len(row) - self._end_of_first]
        return out

    def direction(self, v: NDArray[np.float64] | None) -> Array:
        """Returns g + G'v (n_params,), or g for v None."""
        out = np.empty(self._layout.n_params, np.float32)
        for layer, block in enumerate(self._blocks(out)):
            np.matmul(self._g_inputs[layer].T, self._g_errors[layer], out=block[:-1])
            self._g_errors[layer].sum(axis=0, out=block[-1])
        if v is not None:
            self._write_out()
            first = self._blocks(out)[0]
            pixels, rest = (v.astype(np.float32) @ part[: len(v)] for part in self._past)
            pixels = pixels.reshape(len(self._active) + 1, -1)[:, : first.shape[1]]
            first[self._active] += pixels[:-1]
            first[-1] += pixels[-1]
            out[self._end_of_first :] += rest[: len(out) - self._end_of_first]
        return out

    def moved(self, rate: float, v: NDArray[np.float64] | None) -> None:
        """Follow the first layer through a step along g; after one along g + G'v it is computed afresh."""
        self._stale = v is not None
        if v is None:
            errors = np.zeros((len(self._g_errors[0]), self._first.shape[1]), np.float32)
            errors[:, : self._g_errors[0].shape[1]] = self._g_errors[0]
            sgemm(-rate, errors.T, self._met.T, beta=1.0, c=self._first.T, overwrite_c=1)
            self._age += 1

    def forget(self) -> None:
        """Told of a step along another direction: the first layer is computed afresh."""
        self._stale = True
