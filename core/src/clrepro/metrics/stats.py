"""From a few seeds to a statement: spread, intervals, comparison, and how many seeds would settle a
question.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = Sequence[float] | NDArray[np.float64]
MOST_SEEDS = 1000  # more than that nobody runs


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval; low and high are nan where one value gives no interval."""

    mean: float
    low: float
    high: float

    def side(self, low: float, high: float) -> str:
        """Returns where the interval lies: "inside" [low, high], "outside" it, or across a boundary."""
        if low <= self.low and self.high <= high:
            return "inside"
        return "outside" if self.low > high or self.high < low else "across"


def mean_sd(values: Values) -> tuple[float, float]:
    """Returns (mean, sample standard deviation with ddof 1); the deviation of a single value is nan."""
    array = np.asarray(values, np.float64)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else float("nan")


def t_interval(values: Values, confidence: float = 0.95) -> Interval:
    """Returns the mean and its two-sided Student interval, mean ± t_{n-1} sd / √n."""
    return difference_interval(values, 0.0, confidence=confidence)


def paired_interval(a: Values, b: Values, confidence: float = 0.95) -> Interval:
    """Returns mean(a - b) with its Student interval over the pairs.

    Args: a, b — values of the same seeds in the same order, so that what a seed does to both sides cancels.
    """
    return t_interval(np.subtract(np.asarray(a, np.float64), np.asarray(b, np.float64)), confidence)


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


def difference_interval(
    values: Values, reference: float, sd: float = 0.0, n: int = 1, confidence: float = 0.95
) -> Interval:
    """Returns mean(values) - reference with its two-sided Welch interval.

    Args: reference, sd, n — mean, standard deviation and number of seeds of the other side; sd 0 takes the
        reference as exact, which leaves Student's interval.
    Source: Welch 1947, with Satterthwaite's degrees of freedom.
    """
    mean, own_sd = mean_sd(values)
    difference = mean - reference
    if len(values) < 2:
        return Interval(difference, float("nan"), float("nan"))
    half = float(_half_width(own_sd, np.array([len(values)]), sd, n, confidence)[0])
    return Interval(difference, difference - half, difference + half)


def least_half_width(sd: float, n: int, confidence: float = 0.95) -> float:
    """Returns the half-width of `difference_interval` with infinitely many values: what the reference's own
    spread leaves, t_{n-1} sd / √n; with n = 1 the normal quantile times sd.
    """
    return float(_half_width(0.0, np.array([10**9]), sd, n, confidence)[0])


def decided_in_the_limit(
    difference: float, low: float, high: float, *, sd: float = 0.0, n: int = 1, confidence: float = 0.95
) -> bool:
    """Returns whether infinitely many values of this mean difference would bring `difference_interval` inside
    or outside [low, high]: False where the reference itself is too uncertain.
    """
    half = least_half_width(sd, n, confidence)
    side = Interval(difference, difference - half, difference + half).side(low, high)
    return side != "across"


def seeds_to_decide(
    values: Values,
    low: float,
    high: float,
    *,
    reference: float = 0.0,
    sd: float = 0.0,
    n: int = 1,
    confidence: float = 0.95,
    most: int = MOST_SEEDS,
) -> int | None:
    """Returns how many more seeds would bring `difference_interval` inside or outside [low, high], if mean
    and spread stayed what they are now; 0 if it is there already.

    Returns: None if `most` seeds in all do not, for instance because the reference itself is too uncertain,
        or if fewer than two values leave the spread unknown.
    """
    mean, own_sd = mean_sd(values)
    if len(values) < 2 or not np.isfinite(own_sd):
        return None
    counts = np.arange(len(values), most + 1)
    half = _half_width(own_sd, counts, sd, n, confidence)
    return _first_decided(mean - reference, half, low, high)


def seeds_of_both_to_decide(
    values: Values,
    low: float,
    high: float,
    *,
    reference: float = 0.0,
    sd: float = 0.0,
    n: int = 1,
    confidence: float = 0.95,
    most: int = MOST_SEEDS,
) -> tuple[int, int] | None:
    """Returns (values of ours, seeds of the reference), in all, that would bring `difference_interval` inside
    or outside [low, high], if means and spreads stayed what they are now.

    Looks at more seeds of the reference beside the values there are, and at equally many on either side;
    returns what takes fewer new seeds together.
    Returns: None if `most` seeds on a side do not, or if fewer than two values leave the spread unknown.
    """
    mean, own_sd = mean_sd(values)
    if len(values) < 2 or not np.isfinite(own_sd):
        return None
    have = len(values)
    theirs = np.arange(max(n, 2), most + 1)
    found = []
    for ours in (np.full(len(theirs), have), np.maximum(theirs, have)):
        half = _half_width(own_sd, ours, sd, theirs, confidence)
        first = _first_decided(mean - reference, half, low, high)
        if first is not None:
            found.append((int(ours[first]), int(theirs[first])))
    return min(found, key=sum, default=None)


def _first_decided(difference: float, half: NDArray[np.float64], low: float, high: float) -> int | None:
    """The first place whose interval difference ± half lies inside or outside [low, high]."""
    lows, highs = difference - half, difference + half
    decided = ((low <= lows) & (highs <= high)) | (lows > high) | (highs < low)
    return int(np.argmax(decided)) if decided.any() else None


def _half_width(
    own_sd: float, counts: NDArray[np.int64], sd: float, n: int | NDArray[np.int64], confidence: float
) -> NDArray[np.float64]:
    """Half-width of Welch's interval for each number of own seeds in `counts`, all >= 2; n — seeds of the
    other side, one number or one for each of `counts`.
    """
    seeds = np.asarray(n)
    own, other = own_sd**2 / counts, sd**2 / seeds
    if own_sd == 0 and sd == 0:
        return np.zeros(len(counts))
    parts = own**2 / (counts - 1) + np.where(seeds > 1, other**2 / np.maximum(seeds - 1, 1), 0.0)
    with np.errstate(divide="ignore"):
        freedom = np.where(parts > 0, (own + other) ** 2 / parts, counts - 1.0)
    return np.asarray(stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(own + other))
