"""A sparse matrix that is multiplied with many dense ones: rows of images, four fifths of them black."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clrepro.kernels.batch import aligned
from clrepro.kernels.mlp import Vector

_TILE = 112  # columns that clrepro.kernels.sparse_tiles works on; not imported, that would load the compiler
_ROWS, _CHUNK = 256, 128  # 128 rows of a tile stay near the first-level cache, 256 in the second
_TOGETHER = 4  # rows of a Gram matrix that clrepro.kernels.sparse_tiles takes at a time


def tiled(rows: int, columns: int) -> Vector:
    """Returns float32 zeros (rows, columns rounded up to whole tiles), as `SparseMatrix.times` takes them."""
    return aligned(rows, -(-columns // _TILE) * _TILE)


def gram(parts: Sequence[Vector]) -> NDArray[np.float64]:
    """Returns sum_p parts[p] parts[p]' float64 (n, n), each chunk of columns in float32.

    Args: parts — float32 (n, any), n a multiple of 4, columns a multiple of 16, C-contiguous.
    Raises: ValueError if they are not.
    """
    from clrepro.kernels.simd import LANES
    from clrepro.kernels.sparse_tiles import add_gram

    out = np.zeros((len(parts[0]), len(parts[0])))
    for part in parts:
        n, columns = part.shape
        if n != len(out) or n % _TOGETHER or columns % LANES or not part.flags.c_contiguous:
            raise ValueError(f"part of shape {part.shape}: expected ({len(out)}, …), multiples of 4 and 16")
        add_gram(part, out)
    return np.tril(out) + np.tril(out, -1).T


@dataclass(frozen=True)
class SparseMatrix:
    """The non-zero entries of a matrix, in the order in which `clrepro.kernels.sparse_tiles` takes them.

    shape — (rows, columns); first — int64, where each row's part of a chunk begins; index — int32, columns;
    value — float32.
    """

    shape: tuple[int, int]
    first: NDArray[np.int64]
    index: NDArray[np.int32]
    value: Vector

    @classmethod
    def from_dense(cls, x: Vector) -> "SparseMatrix":
        """Returns the matrix of float32 x (rows, columns)."""
        (n_rows, n_columns), chunks = x.shape, _chunks(x.shape[1])
        row, column = np.nonzero(x)
        start = row // _ROWS * _ROWS
        rows_of_block = np.minimum(n_rows - start, _ROWS)
        part = start * chunks + column // _CHUNK * rows_of_block + row - start
        order = np.argsort(part, kind="stable")
        first = np.zeros(n_rows * chunks + 1, np.int64)
        np.cumsum(np.bincount(part, minlength=n_rows * chunks), out=first[1:])
        return cls((n_rows, n_columns), first, column[order].astype(np.int32), x[row, column][order])

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.first.nbytes + self.index.nbytes + self.value.nbytes

    def times(self, table: Vector, out: Vector) -> Vector:
        """Returns out (rows, width) <- this matrix times table (columns, width).

        Args: table, out — C-contiguous, made by `tiled`.
        Raises: ValueError if they are not, or have other numbers of rows or widths.
        """
        from clrepro.kernels.sparse_tiles import multiply

        for array, rows in ((table, self.shape[1]), (out, self.shape[0])):
            if (
                array.shape != (rows, table.shape[1])
                or array.shape[1] % _TILE
                or not array.flags.c_contiguous
            ):
                raise ValueError(f"array of shape {array.shape}: expected tiled({rows}, …)")
        multiply(self.first, self.index, self.value, _ROWS, _chunks(self.shape[1]), table, out)
        return out


def _chunks(columns: int) -> int:
    return max(-(-columns // _CHUNK), 1)
