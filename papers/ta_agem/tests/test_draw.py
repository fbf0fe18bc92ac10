"""Reference batches: balanced over the classes, without repetition, uniform."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_agem_repro.memory import draw


def pools(*sizes):
    starts = np.cumsum((0, *sizes))
    return [np.arange(a, b) for a, b in itertools.pairwise(starts)]


def test_ten_full_pools_give_one_each_and_two_give_five_each():
    rng = np.random.default_rng(0)
    ten = draw.balanced(pools(*[30] * 10), 10, 200, rng)
    assert (np.sort(ten // 30, axis=1) == np.arange(10)).all()
    two = draw.balanced(pools(150, 150), 10, 200, rng)
    assert ((two < 150).sum(axis=1) == 5).all()


def test_what_fits_is_taken_whole():
    rng = np.random.default_rng(0)
    assert draw.balanced(pools(3, 4), 7, 2, rng).tolist() == [list(range(7))] * 2
    assert draw.balanced([], 7, 2, rng).shape == (2, 0)


def test_a_small_pool_leaves_its_rest_to_the_next():
    assert draw.quotas([1, 30, 30], 9) == [1, 5, 3]
    assert draw.quotas([30, 30, 1], 9) == [3, 3, 1]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=12), st.integers(1, 20), st.integers(0, 99))
def test_no_sample_twice_and_never_more_than_asked(sizes, n, seed):
    slots = draw.balanced(pools(*sizes), n, 3, np.random.default_rng(seed))
    for row in slots:
        assert len(set(row.tolist())) == len(row) <= n
        assert set(row.tolist()) <= set(range(sum(sizes)))
    if sum(sizes) <= n:
        assert slots.shape[1] == sum(sizes)


def test_fewer_draws_than_pools_reach_every_pool():
    """The original used the first n pools only."""
    slots = draw.balanced(pools(*[30] * 10), 4, 5000, np.random.default_rng(1))
    per_pool = np.bincount((slots // 30).ravel(), minlength=10)
    assert ((per_pool - 2000) ** 2 / 2000).sum() < 27.9  # chi-square, 9 degrees of freedom, p = 0.001
    assert all(len(set(row // 30)) == 4 for row in slots)


@pytest.mark.parametrize(("sizes", "n"), [((30,) * 10, 10), ((40, 40), 10)])
def test_every_sample_of_a_pool_is_equally_likely(sizes, n):
    slots = draw.balanced(pools(*sizes), n, 10_000, np.random.default_rng(2))
    counts = np.bincount(slots.ravel(), minlength=sum(sizes))
    expected = slots.size / sum(sizes)
    freedom = sum(sizes) - len(sizes)
    assert ((counts - expected) ** 2 / expected).sum() < freedom + 4 * np.sqrt(2 * freedom)


def test_the_whole_memory_up_to_256():
    rng = np.random.default_rng(3)
    assert draw.whole(pools(100, 100), rng).tolist() == list(range(200))
    some = draw.whole(pools(150, 150), rng)
    assert len(some) == len(set(some.tolist())) == 256
