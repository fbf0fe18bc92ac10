"""From a few seeds to a statement: spread, intervals, comparison, and how many seeds would settle a
question.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval; low and high are nan where one value gives no interval."""

    mean: float
    low: float
    high: float


def mean_sd(values: Values) -> tuple[float, float]:
    """Returns (mean, sample standard deviation with ddof 1); the deviation of a single value is nan."""
    array = np.asarray(values, np.float64)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else float("nan")


def t_interval(values: Values, confidence: float = 0.95) -> Interval:
    """Returns the mean and its two-sided Student interval, mean ± t_{n-1} sd / √n."""
    mean, sd = mean_sd(values)
    n = len(values)
    if n < 2:
        return Interval(mean, float("nan"), float("nan"))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * sd / n**0.5
    return Interval(mean, mean - half, mean + half)


def iqm(values: Values) -> float:
    """Returns the interquartile mean: the mean of what is left without the lowest and the highest quarter.

    Source: Agarwal et al. 2021 (rliable), as scipy's trimmed mean.
    """
    return float(stats.trim_mean(np.asarray(values, np.float64), 0.25))


def bootstrap_interval(
    strata: Sequence[Values], rng: np.random.Generator, confidence: float = 0.95, n_resamples: int = 2000
) -> Interval:
    """Returns the IQM over all values and its stratified percentile bootstrap interval.

    Args: strata — one sequence of per-seed values per task or setting; seeds are resampled within each.
    Source: Agarwal et al. 2021; scipy's bootstrap treats several samples as strata.
    """
    arrays = [np.asarray(values, np.float64) for values in strata]

    def statistic(*samples: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        pooled = np.concatenate(samples, axis=axis)
        return np.asarray(stats.trim_mean(pooled, 0.25, axis=axis))

    point = float(statistic(*arrays))
    if min(len(array) for array in arrays) < 2:
        return Interval(point, float("nan"), float("nan"))
    found = stats.bootstrap(
        arrays, statistic, confidence_level=confidence, n_resamples=n_resamples, method="percentile", rng=rng
    ).confidence_interval
    return Interval(point, float(found.low), float(found.high))


def prob_improvement(better: Values, worse: Values) -> float:
    """Returns P(a random value of `better` exceeds one of `worse`), ties counting half (Mann-Whitney)."""
    a, b = np.asarray(better, np.float64)[:, None], np.asarray(worse, np.float64)[None, :]
    return float(np.mean((a > b) + 0.5 * (a == b)))


def difference_interval(values: Values, reference: float, sd: float, n: int) -> Interval:
    """Returns mean(values) - reference with its 95 % Welch interval.

    Args: reference, sd, n — mean, standard deviation and number of seeds of the other side; sd 0 takes the
        reference as exact.
    Source: Welch 1947, with Satterthwaite's degrees of freedom.
    """
    mean, own_sd = mean_sd(values)
    if len(values) < 2:
        return Interval(mean - reference, float("nan"), float("nan"))
    own, other = own_sd**2 / len(values), sd**2 / n
    if own + other == 0:
        return Interval(mean - reference, mean - reference, mean - reference)
    parts = own**2 / (len(values) - 1) + (other**2 / (n - 1) if n > 1 else 0)
    freedom = (own + other) ** 2 / parts if parts > 0 else len(values) - 1
    half = float(stats.t.ppf(0.975, freedom)) * (own + other) ** 0.5
    return Interval(mean - reference, mean - reference - half, mean - reference + half)


def seeds_to_decide(sd: float, distance: float, most: int = 1000) -> int | None:
    """Returns how many seeds in all would shrink the half-width of a mean's 95 % interval below `distance`.

    Args: sd — present spread over seeds; distance — from the mean to the boundary in question.
    Returns: None if more than `most` would be needed.
    """
    if not np.isfinite(sd) or distance <= 0:
        return None
    for n in range(2, most + 1):
        if float(stats.t.ppf(0.975, n - 1)) * sd / n**0.5 < distance:
            return n
    return None
