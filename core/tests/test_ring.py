"""The ring against a queue of bounded length."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clrepro.buffers import Ring


@given(st.integers(1, 7), st.lists(st.integers(0, 20), max_size=8))
def test_it_holds_the_latest_items_oldest_first(capacity, blocks):
    ring, held = Ring(capacity), [None] * capacity
    queue = deque(maxlen=capacity)
    item = 0
    for n in blocks:
        for slot in ring.add(n):
            held[slot] = item
            queue.append(item)
            item += 1
    assert [held[slot] for slot in ring.oldest_first()] == list(queue)
    assert (ring.size, ring.seen) == (len(queue), item)


def test_draws_are_uniform_over_what_is_stored():
    ring, rng = Ring(8), np.random.default_rng(0)
    assert ring.sample(3, rng).shape == (0,)
    ring.add(5)
    counts = np.bincount(ring.sample(10_000, rng), minlength=8)
    assert counts[5:].sum() == 0
    assert ((counts[:5] - 2000) ** 2 / 2000).sum() < 18.5  # 4 degrees of freedom, p = 0.001


def test_saved_and_loaded_it_goes_on_the_same():
    one, other = Ring(4), Ring(4)
    one.add(7)
    other.load(one.state())
    assert one.add(3).tolist() == other.add(3).tolist() == [3, 0, 1]
    with pytest.raises(ValueError, match="a ring of 4 slots: this one has 5"):
        Ring(5).load(one.state())


def test_a_ring_without_slots_is_refused():
    with pytest.raises(ValueError, match="at least one slot"):
        Ring(0)
