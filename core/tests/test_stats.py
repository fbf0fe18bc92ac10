"""Statistics against closed forms, scipy and simulation."""

import numpy as np
import pytest
from scipy import stats as reference

from clrepro.metrics import stats


def test_mean_sd_uses_ddof_one():
    assert stats.mean_sd([1.0, 2.0, 4.0]) == pytest.approx((7 / 3, np.std([1, 2, 4], ddof=1)))
    assert np.isnan(stats.mean_sd([3.0])[1])


def test_t_interval_is_scipys():
    values = [0.71, 0.74, 0.69, 0.75]
    ours = stats.t_interval(values)
    theirs = reference.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    assert np.isnan(stats.t_interval([1.0]).low)


def test_t_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    draws = rng.normal(3.0, 2.0, (4000, 5))
    covered = [i.low <= 3 <= i.high for i in map(stats.t_interval, draws)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.012)


def test_iqm_leaves_out_a_quarter_at_each_end():
    assert stats.iqm([100, 1, 2, 3, 4, 5, 6, -50]) == pytest.approx(3.5)


def test_bootstrap_is_stratified_and_seeded():
    strata = [[1.0, 1.1, 0.9], [5.0, 5.1, 4.9]]
    one = stats.bootstrap_interval(strata, np.random.default_rng(1))
    again = stats.bootstrap_interval(strata, np.random.default_rng(1))
    assert (one.low, one.high) == (again.low, again.high)
    assert one.mean == pytest.approx(3.0)
    # Each stratum keeps its three values, so the interval cannot reach either mean.
    assert 2.5 < one.low < one.high < 3.5


def test_prob_improvement_is_mann_whitney():
    a, b = [3.0, 4.0, 4.0], [1.0, 4.0]
    u = reference.mannwhitneyu(a, b).statistic
    assert stats.prob_improvement(a, b) == pytest.approx(u / 6)
    assert stats.prob_improvement(a, b) + stats.prob_improvement(b, a) == pytest.approx(1)


def test_difference_interval_is_welchs():
    rng = np.random.default_rng(2)
    a, b = rng.normal(2, 1, 6), rng.normal(1, 3, 9)
    ours = stats.difference_interval(a, b.mean(), b.std(ddof=1), 9)
    theirs = reference.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    assert ours.mean == pytest.approx(a.mean() - b.mean())


def test_difference_from_an_exact_reference_is_a_student_interval():
    values = [0.2, 0.4, 0.9]
    ours, plain = stats.difference_interval(values, 0.1, 0.0, 1), stats.t_interval(values)
    assert (ours.low, ours.high) == pytest.approx((plain.low - 0.1, plain.high - 0.1))
    assert stats.difference_interval([1.0, 1.0], 0.5, 0.0, 3).low == 0.5


def test_paired_interval_sees_what_two_spreads_hide():
    worse = np.array([60.0, 70.0, 80.0])
    better = worse + np.array([1.0, 1.2, 0.8])
    ours = stats.paired_interval(better, worse)
    theirs = reference.ttest_rel(better, worse).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    assert ours.low > 0 > stats.difference_interval(better, worse.mean(), worse.std(ddof=1), 3).low


def test_an_interval_lies_inside_outside_or_across():
    one = stats.Interval(0.0, -1.0, 1.0)
    assert [one.side(*b) for b in [(-1, 1), (-0.9, 2), (1.1, 2), (-2, -1.1), (-0.5, 0.5)]] == [
        *("inside", "across", "outside", "outside", "across")
    ]
    assert stats.Interval(0.0, float("nan"), float("nan")).side(-1, 1) == "across"


@pytest.mark.parametrize(
    ("values", "low", "high", "other"),
    [
        ([1.0, 3.0, 2.5], 1.0, 5.0, {}),
        ([1.0, 3.0, 2.5, 2.0], -2.0, 1.5, {"reference": 0.1, "sd": 0.4, "n": 30}),
        ([0.2, -0.4, 0.1], -0.3, float("inf"), {"confidence": 0.9}),
    ],
)
def test_seeds_to_decide_is_where_the_interval_first_clears_the_boundary(values, low, high, other):
    more = stats.seeds_to_decide(values, low, high, **other)
    mean, sd = stats.mean_sd(values)

    def decided(n):
        """As many values with the same mean and spread, judged afresh."""
        spread = reference.zscore(np.arange(n), ddof=1)
        return stats.difference_interval(mean + sd * spread, **{"reference": 0.0, **other}).side(low, high)

    assert more is not None
    assert more > 0
    assert decided(len(values) + more) != "across"
    assert {decided(n) for n in range(len(values), len(values) + more)} == {"across"}


def test_seeds_to_decide_says_when_nothing_would():
    assert stats.seeds_to_decide([0.0, 0.1, -0.1], -1.0, 1.0) == 0  # decided already
    assert stats.seeds_to_decide([1.0, 2.0, 3.0], 2.0, 9.0) is None  # the mean is on the boundary
    assert stats.seeds_to_decide([0.0, 0.1], -1.0, 1.0, sd=5.0, n=3) is None  # the reference is too wide
    assert stats.seeds_to_decide([1.0], -1.0, 1.0) is None


@pytest.mark.parametrize(
    ("difference", "sd", "n", "expected"),
    [
        (0.5, 0.0, 3, True),  # an exact reference: only the mean counts
        (1.6, 0.0, 3, True),
        (0.5, 0.3, 3, True),  # ± 0.75 within ± 1.5
        (0.5, 1.0, 3, False),  # ± 2.48 crosses it
        (4.5, 1.0, 3, True),  # ± 2.48 around 4.5 is outside
        (0.0, 1.0, 1, False),  # a single seed: ± 1.96
    ],
)
def test_what_infinitely_many_seeds_would_decide(difference, sd, n, expected):
    assert stats.decided_in_the_limit(difference, -1.5, 1.5, sd=sd, n=n) is expected
    values = difference + np.tile([-0.1, 0.1], 20_000)
    found = stats.seeds_to_decide(values, -1.5, 1.5, sd=sd, n=n, most=40_000)
    assert (found is not None) is expected
