"""Orders of epochs against lists written by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clrepro.errors import UsageError
from clrepro.streams import order
from clrepro.streams.order import Epoch


def tasks(epochs):
    return [epoch.task for epoch in epochs]


def test_sequential_takes_one_number_a_list_or_a_table():
    assert tasks(order.sequential(2, 3)) == [0, 0, 0, 1, 1, 1]
    assert tasks(order.sequential(2, [1, 2])) == [0, 1, 1]
    assert tasks(order.sequential(2, {1: 1, 0: 2})) == [0, 0, 1]


def test_half_and_half_puts_the_larger_half_first():
    assert tasks(order.half_and_half(2, 3)) == [0, 0, 1, 1, 0, 1]
    assert tasks(order.half_and_half(2, [1, 4])) == [0, 1, 1, 1, 1]


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 99))
def test_random_keeps_every_epoch(n_tasks, epochs, seed):
    shuffled = order.random_order(n_tasks, epochs, np.random.default_rng(seed))
    assert sorted(tasks(shuffled)) == tasks(order.sequential(n_tasks, epochs))


def test_random_orders_differ_and_repeat():
    rngs = [np.random.default_rng(seed) for seed in (0, 0, 1)]
    a, b, c = (order.random_order(4, 4, rng) for rng in rngs)
    assert a == b != c


def test_continuous_leads_over_and_back_to_the_first():
    assert order.continuous(2, 4, 3) == [
        Epoch(0), Epoch(0), Epoch(0, 1, (1, 3)), Epoch(0, 1, (2, 3)),
        Epoch(1), Epoch(1), Epoch(1, 0, (1, 3)), Epoch(1, 0, (2, 3)),
    ]  # fmt: skip
    default = order.continuous(10, 20, 10)
    assert [sum(e.mix_with is None for e in default), len(default)] == [110, 200]


def test_shares_are_counted_in_whole_numbers():
    """ceil((1 - i/10) · 10); floating point makes 4 of the 3 at i = 7."""
    mixed = [Epoch(0, 1, (i, 10)) for i in range(1, 10)]
    assert [order.counts(epoch, 10) for epoch in mixed] == [(10 - i, i) for i in range(1, 10)]
    assert order.counts(Epoch(0, 1, (1, 3)), 10) == (7, 3)
    assert order.counts(Epoch(0), 10) == (10, 0)


@given(st.integers(2, 40), st.integers(1, 64))
def test_shares_add_up_and_fall(n, batch):
    shares = [order.counts(Epoch(0, 1, (i, n)), batch) for i in range(n)]
    assert all(sum(share) == batch for share in shares)
    assert [s[0] for s in shares] == sorted((s[0] for s in shares), reverse=True)
    # Rounded up: the present task keeps at least its exact part, and less than one example more.
    assert all(0 <= here - (1 - i / n) * batch + 1e-9 < 1 + 1e-6 for i, (here, _) in enumerate(shares))


def test_a_task_is_seen_from_its_first_mixed_epoch_on():
    assert order.seen(order.continuous(3, 2, 2)) == [
        [0], [0, 1], [0, 1], [0, 1, 2], [0, 1, 2], [0, 1, 2],
    ]  # fmt: skip
    assert order.seen([Epoch(2), Epoch(0), Epoch(2)]) == [[2], [2, 0], [2, 0]]


def test_schedule_finds_each_by_name():
    rng = np.random.default_rng(0)
    assert order.schedule("sequential", 2, 2) == order.sequential(2, 2)
    assert order.schedule("half and half", 2, 2) == order.half_and_half(2, 2)
    assert order.schedule("continuous", 2, 3, n_transition=2) == order.continuous(2, 3, 2)
    assert sorted(tasks(order.schedule("random", 2, 2, rng=rng))) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("backwards", 2, 2), {}, "one of sequential"),
        (("random", 2, 2), {}, "needs a generator"),
        (("continuous", 2, [1, 2]), {"n_transition": 1}, "needs one number"),
        (("continuous", 2, 3), {"n_transition": 4}, "1 to the 3 epochs"),
        (("sequential", 2, 0), {}, "each 1 or more"),
        (("sequential", 2, [1]), {}, "one for each of 2"),
        (("sequential", 2, {0: 1, 2: 1}), {}, "exactly 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused(arguments, options, message):
    with pytest.raises(UsageError, match=message):
        order.schedule(*arguments, **options)
