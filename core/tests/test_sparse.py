"""Sparse times dense, and Gram matrices: against numpy, at sizes around every block of the kernels."""

import numpy as np
import pytest

from clrepro.kernels.sparse import SparseMatrix, gram, tiled

RNG = np.random.default_rng(0)


def random_matrix(rows, columns, share=0.2):
    return (RNG.normal(size=(rows, columns)) * (RNG.random((rows, columns)) < share)).astype(np.float32)


@pytest.mark.parametrize("rows", [1, 3, 256, 257, 600])
@pytest.mark.parametrize(("columns", "width"), [(1, 1), (127, 100), (128, 112), (129, 113), (400, 300)])
def test_times_is_the_matrix_product(rows, columns, width):
    x = random_matrix(rows, columns)
    table, out = tiled(columns, width), tiled(rows, width)
    table[:, :width] = RNG.normal(size=(columns, width))
    out[:] = np.nan  # nothing of what stood there may stay
    result = SparseMatrix.from_dense(x).times(table, out)
    assert result is out
    np.testing.assert_allclose(out, x.astype(np.float64) @ table.astype(np.float64), rtol=1e-5, atol=1e-5)
    assert not out[:, width:].any()


def test_every_sum_runs_in_the_order_of_the_columns():
    """The blocks change nothing: the same bits as one entry added after the other, rounded once each."""
    x = random_matrix(5, 700, 0.5)
    table, out = tiled(700, 1), tiled(5, 1)
    table[:, 0] = RNG.normal(size=700)
    SparseMatrix.from_dense(x).times(table, out)
    for i in range(5):
        total = np.float32(0)
        for k in np.flatnonzero(x[i]):
            total = np.float32(np.float64(x[i, k]) * np.float64(table[k, 0]) + np.float64(total))
        assert out[i, 0] == total


def test_empty_rows_and_columns_give_zeros():
    x = np.zeros((4, 3), np.float32)
    x[1, 2] = 2.0
    matrix, table, out = SparseMatrix.from_dense(x), tiled(3, 2), tiled(4, 2)
    table[:, :2] = 1.5
    matrix.times(table, out)
    assert out[:, :2].tolist() == [[0, 0], [3, 3], [0, 0], [0, 0]]
    assert matrix.nbytes == 5 * 8 + 4 + 4


@pytest.mark.parametrize(
    ("table", "out"),
    [
        (tiled(3, 2), tiled(4, 2)),
        (tiled(5, 2), tiled(5, 2)),
        (tiled(5, 2), tiled(4, 200)),
        (np.zeros((5, 100), np.float32), np.zeros((4, 100), np.float32)),
        (tiled(5, 200)[:, :112], tiled(4, 2)),
    ],
)
def test_arrays_that_the_kernel_would_misread_are_refused(table, out):
    with pytest.raises(ValueError, match=r"expected tiled\("):
        SparseMatrix.from_dense(random_matrix(4, 5)).times(table, out)


@pytest.mark.parametrize("n", [4, 8, 20])
@pytest.mark.parametrize("columns", [16, 512, 528, 3000 // 16 * 16])
def test_gram_is_every_product_of_two_rows_over_all_parts(n, columns):
    parts = [RNG.normal(size=(n, width)).astype(np.float32) for width in (columns, 32)]
    wide = np.hstack(parts).astype(np.float64)
    np.testing.assert_allclose(gram(parts), wide @ wide.T, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(gram(parts), gram(parts).T)


@pytest.mark.parametrize("shape", [(6, 16), (4, 17), (8, 16)])
def test_parts_that_the_kernel_would_misread_are_refused(shape):
    with pytest.raises(ValueError, match="multiples of 4 and 16"):
        gram([np.zeros((4, 16), np.float32), np.zeros(shape, np.float32)])
