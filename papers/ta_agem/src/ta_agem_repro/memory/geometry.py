"""Compiled distances of samples: float64 sums in one fixed order."""

# mypy: disable-error-code="no-untyped-def,untyped-decorator"
# Types are numba's: float32 arrays in, float64 arrays out.

import numpy as np

from clrepro.kernels.deterministic_math import compiled


@compiled
def squared_distances(rows, z):
    """Squared Euclidean distance of each of rows (n, d) to z (d,): float64 (n,).

    Eight partial sums side by side: equal rows get equal distances, so ties stay ties.
    """
    n, d = rows.shape
    out = np.empty(n)
    for i in range(n):
        row = rows[i]
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = np.float64(0.0)
        whole = d - d % 8
        for j in range(0, whole, 8):
            s0 += (np.float64(row[j]) - z[j]) ** 2
            s1 += (np.float64(row[j + 1]) - z[j + 1]) ** 2
            s2 += (np.float64(row[j + 2]) - z[j + 2]) ** 2
            s3 += (np.float64(row[j + 3]) - z[j + 3]) ** 2
            s4 += (np.float64(row[j + 4]) - z[j + 4]) ** 2
            s5 += (np.float64(row[j + 5]) - z[j + 5]) ** 2
            s6 += (np.float64(row[j + 6]) - z[j + 6]) ** 2
            s7 += (np.float64(row[j + 7]) - z[j + 7]) ** 2
        for j in range(whole, d):
            s0 += (np.float64(row[j]) - z[j]) ** 2
        out[i] = ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))
    return out
