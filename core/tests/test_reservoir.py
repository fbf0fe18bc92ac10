"""Reservoir sampling: who is stored, by the law of large numbers and against hand-counted draws."""

import numpy as np
import pytest

from clrepro.buffers import Reservoir

N_RUNS, N_ITEMS, SLOTS = 4000, 30, 6


def survivors(law, block):
    """How often each of N_ITEMS items is stored at the end, over N_RUNS reservoirs."""
    rng, counts = np.random.default_rng(0), np.zeros(N_ITEMS)
    for _ in range(N_RUNS):
        reservoir, held = Reservoir(SLOTS, rng, law), np.full(SLOTS, -1)
        for start in range(0, N_ITEMS, block):
            for item, slot in enumerate(reservoir.add(min(block, N_ITEMS - start)), start):
                if slot >= 0:
                    held[slot] = item
        counts[held] += 1
    return counts


def chi_square(counts, probability):
    return (((counts - N_RUNS * probability) ** 2) / (N_RUNS * probability * (1 - probability))).sum()


@pytest.mark.parametrize("block", [1, 7, N_ITEMS])
def test_the_exact_law_keeps_every_item_with_the_same_probability(block):
    counts = survivors("exact", block)
    assert counts.sum() == N_RUNS * SLOTS
    assert chi_square(counts, SLOTS / N_ITEMS) < 62  # 30 terms, p about 0.0005


@pytest.mark.parametrize("block", [1, 7])
def test_the_legacy_law_favours_the_first_items(block):
    """Item number SLOTS + 1 and later: m/(n + 1); the first m: (m + 1)/(n + 1)."""
    counts = survivors("legacy", block)
    probability = np.full(N_ITEMS, SLOTS / (N_ITEMS + 1))
    probability[:SLOTS] = (SLOTS + 1) / (N_ITEMS + 1)
    assert probability.sum() == pytest.approx(SLOTS)
    assert chi_square(counts, probability) < 62
    assert chi_square(counts, np.full(N_ITEMS, SLOTS / N_ITEMS)) > 62  # the two laws can be told apart


def test_the_first_items_fill_the_slots_in_order():
    reservoir = Reservoir(4, np.random.default_rng(0))
    assert reservoir.add(3).tolist() == [0, 1, 2]
    assert (reservoir.size, reservoir.seen) == (3, 3)
    assert reservoir.add(2)[0] == 3
    assert (reservoir.size, reservoir.seen) == (4, 5)
    assert reservoir.add(0).shape == (0,)


def test_a_single_slot_takes_the_nth_item_one_time_in_n():
    taken = np.zeros(6)
    rng = np.random.default_rng(1)
    for _ in range(6000):
        reservoir = Reservoir(1, rng)
        taken += reservoir.add(6) == 0
    np.testing.assert_allclose(taken / 6000, 1 / np.arange(1, 7), atol=0.025)


def test_draws_are_uniform_over_what_is_stored():
    reservoir = Reservoir(10, np.random.default_rng(2))
    assert reservoir.sample(5).shape == (0,)
    reservoir.add(4)
    counts = np.bincount(reservoir.sample(8000), minlength=10)
    assert counts[4:].sum() == 0
    assert ((counts[:4] - 2000) ** 2 / 2000).sum() < 16.3  # 3 degrees of freedom, p = 0.001


def test_saved_and_loaded_it_goes_on_the_same():
    rng, other_rng = np.random.default_rng(3), np.random.default_rng(99)
    one, other = Reservoir(5, rng), Reservoir(5, other_rng)
    one.add(50)
    other.load(one.state())
    other_rng.bit_generator.state = rng.bit_generator.state
    np.testing.assert_array_equal(one.add(100), other.add(100))
    np.testing.assert_array_equal(one.sample(20), other.sample(20))


@pytest.mark.parametrize(("capacity", "law"), [(0, "exact"), (-1, "exact"), (3, "other")])
def test_what_cannot_be_is_refused(capacity, law):
    with pytest.raises(ValueError, match=r"at least one slot|one of 'exact', 'legacy'"):
        Reservoir(capacity, np.random.default_rng(0), law)
