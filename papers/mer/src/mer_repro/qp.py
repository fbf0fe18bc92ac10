"""GEM's projection: the dual quadratic programme, solved as a non-negative least-squares problem.

min_v 1/2 v'Pv + q'v subject to v >= margin, with P = G G' and q = G g.  Substituting u = v - margin and
factoring P = A'A turns it into min_u ||A u - b||, u >= 0 with A'b = -(q + margin * P 1), which SciPy solves
exactly. P is only positive *semi*definite when gradients are collinear; directions of numerically no length
are left out of A, which changes neither objective nor feasibility because q lies in the range of P.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls


def nonnegative_dual(
    gram: NDArray[np.float64], dots: NDArray[np.float64], margin: float
) -> NDArray[np.float64]:
    """Returns v (t,) >= margin minimising 1/2 v'Pv + q'v.

    Args: gram — P (t, t), symmetric up to rounding; dots — q (t,); margin — lower bound of every v.
    Source: Lopez-Paz & Ranzato 2017, eq. 11-12; margin is their "memory strength".
    """
    p = (gram + gram.T) / 2
    size = np.sqrt(np.diagonal(p))
    size = np.where(size > 0, size, 1.0)  # unit columns: conditioning then depends on directions alone
    values, vectors = np.linalg.eigh(p / np.outer(size, size))
    keep = values > values[-1] * len(p) * 1e-14
    if not keep.any():  # every stored gradient is zero: nothing to add
        return np.full(len(p), margin, np.float64)
    root = np.sqrt(values[keep])
    a = (root[:, None] * vectors[:, keep].T) * size
    linear = dots + margin * p.sum(axis=1)
    b = -(vectors[:, keep].T @ (linear / size)) / root
    u, _ = nnls(a, b, maxiter=50 * len(p))
    return np.asarray(u + margin)
