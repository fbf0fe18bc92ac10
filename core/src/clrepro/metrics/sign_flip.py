"""Paired comparisons by the exact sign-flip test, many at a time by Holm, and how many seeds would decide."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from clrepro.metrics.stats import MOST_SEEDS

EXACT = 20  # pairs up to which all 2^n sign patterns are looked at; beyond, the normal limit is used
_EPS = 1e-9  # of the largest possible sum: equal in exact arithmetic, different in floating point


def sign_flip_p(differences: ArrayLike) -> float:
    """Returns the two-sided p of "the differences are as often negative as positive, size for size".

    The share of the 2^n ways to give the absolute differences (n,) signs whose sum is at least as far from
    0 as the one found; more than `EXACT` pairs: its normal limit.  1 without any difference.
    Source: Fisher's randomisation test (1935, section 21).
    """
    d = np.asarray(differences, np.float64)
    size = np.abs(d)
    if not size.any():
        return 1.0
    if len(d) > EXACT:
        return float(2 * stats.norm.sf(abs(d.sum()) / np.sqrt(np.sum(d**2))))
    sums = np.zeros(1)
    for one in size:  # all sums of signs times sizes
        sums = np.concatenate([sums + one, sums - one])
    return float(np.mean(np.abs(sums) >= abs(d.sum()) - _EPS * size.sum()))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Returns p (m,) adjusted by Holm's step-down method.  Source: Holm 1979."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * p[order]))
    return adjusted


def least_pairs(n_comparisons: int, alpha: float = 0.05) -> int:
    """Returns the fewest pairs with which the smallest of so many Holm-adjusted p values can reach alpha.

    The smallest two-sided p of n pairs is 2 / 2^n.
    """
    n = 1
    while n_comparisons * 2.0 ** (1 - n) > alpha:
        n += 1
    return n


def more_pairs_to_decide(differences: Sequence[ArrayLike], alpha: float = 0.05) -> int | None:
    """Returns how many more pairs would make every Holm-adjusted p at most alpha, if further differences
    repeated those found in their order; 0 if all are.

    Args: differences — one row of pairs for each comparison.
    Returns: None if `MOST_SEEDS` pairs do not.
    """
    rows = [np.asarray(row, np.float64) for row in differences]
    if any(not row.any() for row in rows):
        return None

    def decided(more: int) -> bool:
        p = [sign_flip_p(np.resize(row, len(row) + more)) for row in rows]
        return bool((holm(p) <= alpha).all())

    most = MOST_SEEDS - max(map(len, rows))
    if decided(0):
        return 0
    if not decided(most):
        return None
    exact = [more for more in range(1, max(1, EXACT + 1 - min(map(len, rows)))) if decided(more)]
    if exact:
        return exact[0]
    low, high = 0, most  # beyond the exact ones p falls steadily
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    return high
