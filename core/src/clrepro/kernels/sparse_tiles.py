"""Compiled products of a sparse matrix with a dense one: seven times sixteen columns at a time stay in
registers while the non-zero entries of a row pass by; `clrepro.kernels.sparse` is the public face.

Seven, since a hundred hidden units then fit into one tile, and as many registers are left as a processor
with half as wide ones needs.  Every sum runs in the order of the entries: the same bits on every processor.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator,call-arg,var-annotated"
# Types are numba's: float32 arrays throughout, int64 scalars.

import numpy as np

from clrepro.kernels.deterministic_math import compiled
from clrepro.kernels.mlp_loops import softmax_error
from clrepro.kernels.simd import LANES, load, multiply_add, repeat, store, total, where_positive

TILE = 7 * LANES
GRAM_COLUMNS = 32 * LANES


@compiled
def multiply(first, index, value, rows, chunks, table, out):
    """out[i] <- sum_k value[k] * table[index[k]] over the entries k of row i, in order.

    The entries lie block after block of `rows` rows, in these chunk after chunk of the table's rows, in these
    row after row; `first` says where each such part of a row begins.  So what is read and written over and
    over stays in the nearest caches.  table, out — (n, columns), columns a multiple of TILE.
    """
    columns, part = table.shape[1], 0
    for start in range(0, out.shape[0], rows):
        end = min(start + rows, out.shape[0])
        for chunk in range(chunks):
            for i in range(start, end):
                if chunk == 0 or first[part] < first[part + 1]:
                    for j in range(0, columns, TILE):
                        _tile(index, value, first[part], first[part + 1], table, j, out, i, chunk > 0)
                part += 1


@compiled
def _tile(index, value, begin, end, table, j, out, i, add):
    columns = table.shape[1]
    at = i * columns + j
    if add:
        a0, a1, a2, a3 = _four(out, at)
        a4, a5, a6 = load(out, at + 4 * LANES), load(out, at + 5 * LANES), load(out, at + 6 * LANES)
    else:
        a0 = a1 = a2 = a3 = a4 = a5 = a6 = repeat(np.float32(0.0))
    for k in range(begin, end):
        v, w = repeat(value[k]), np.int64(index[k]) * columns + j
        b0, b1, b2, b3 = _four(table, w)
        a0, a1 = multiply_add(v, b0, a0), multiply_add(v, b1, a1)
        a2, a3 = multiply_add(v, b2, a2), multiply_add(v, b3, a3)
        a4 = multiply_add(v, load(table, w + 4 * LANES), a4)
        a5 = multiply_add(v, load(table, w + 5 * LANES), a5)
        a6 = multiply_add(v, load(table, w + 6 * LANES), a6)
    store(out, at, a0)
    store(out, at + LANES, a1)
    store(out, at + 2 * LANES, a2)
    store(out, at + 3 * LANES, a3)
    store(out, at + 4 * LANES, a4)
    store(out, at + 5 * LANES, a5)
    store(out, at + 6 * LANES, a6)


@compiled
def _four(array, at):
    return (
        load(array, at), load(array, at + LANES), load(array, at + 2 * LANES), load(array, at + 3 * LANES)
    )  # fmt: skip


@compiled
def add_gram(rows, out):
    """out[u, v] += rows[u] . rows[v] for v <= u (and some v above); rows (n, columns), n a multiple of 4.

    Chunks of columns, so that those of all rows stay in the nearest cache; two rows against four at a time.
    """
    n, columns = rows.shape
    for begin in range(0, columns, GRAM_COLUMNS):
        end = min(begin + GRAM_COLUMNS, columns)
        for u in range(0, n, 2):
            for v in range(0, u + 2, 4):
                _dots(rows, u, v, begin, end, out)


@compiled
def _dots(rows, u, v, begin, end, out):
    columns = rows.shape[1]
    p0, q0 = u * columns, v * columns
    p1, q1, q2, q3 = p0 + columns, q0 + columns, q0 + 2 * columns, q0 + 3 * columns
    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = repeat(np.float32(0.0))
    for j in range(begin, end, LANES):
        x, y = load(rows, p0 + j), load(rows, p1 + j)
        z0, z1, z2, z3 = load(rows, q0 + j), load(rows, q1 + j), load(rows, q2 + j), load(rows, q3 + j)
        a0, a1 = multiply_add(x, z0, a0), multiply_add(x, z1, a1)
        a2, a3 = multiply_add(x, z2, a2), multiply_add(x, z3, a3)
        b0, b1 = multiply_add(y, z0, b0), multiply_add(y, z1, b1)
        b2, b3 = multiply_add(y, z2, b2), multiply_add(y, z3, b3)
    out[u, v] += total(a0)
    out[u, v + 1] += total(a1)
    out[u, v + 2] += total(a2)
    out[u, v + 3] += total(a3)
    out[u + 1, v] += total(b0)
    out[u + 1, v + 1] += total(b1)
    out[u + 1, v + 2] += total(b2)
    out[u + 1, v + 3] += total(b3)


@compiled
def keep_where_positive(test, rows):
    """rows <- 0 where test is not above zero; both (n, columns), columns a multiple of LANES."""
    for at in range(0, test.size, LANES):
        store(rows, at, where_positive(load(test, at), load(rows, at)))


@compiled
def softmax_errors(logits, label, weight):
    """logits[i] <- weight[i] * (softmax(logits[i]) - onehot(label[i])) for every row i."""
    for i in range(logits.shape[0]):
        softmax_error(logits[i], label[i], weight[i])
