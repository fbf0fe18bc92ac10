"""Prioritised replay: the tree against a running sum, the draws against their probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clrepro.buffers import Prioritized, SumTree

WEIGHTS = st.lists(st.one_of(st.just(0.0), st.floats(1e-3, 100)), min_size=1, max_size=40)


def slow_find(weights, mass):
    """The first place whose running sum exceeds the mass."""
    return int(np.flatnonzero(np.cumsum(weights) > mass)[0])


@given(WEIGHTS, st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20))
def test_find_is_the_search_in_the_running_sum(weights, shares):
    tree = SumTree(len(weights))
    tree.update(np.arange(len(weights)), weights)
    assert tree.total == pytest.approx(sum(weights))
    if not tree.total:
        with pytest.raises(ValueError, match="nothing to find"):
            tree.find(np.zeros(1))
        return
    masses = np.array(shares) * tree.total
    for mass, place in zip(masses, tree.find(masses), strict=True):
        assert weights[place] > 0
        below = sum(weights[:place])
        assert below - 1e-9 * tree.total <= mass <= below + weights[place] + 1e-9 * tree.total


def test_find_on_whole_numbers_is_exact():
    weights = np.random.default_rng(0).integers(0, 9, 1000).astype(float)
    tree = SumTree(1000)
    tree.update(np.arange(1000), weights)
    masses = np.random.default_rng(1).integers(0, int(weights.sum()), 500).astype(float)
    assert tree.find(masses).tolist() == [slow_find(weights, mass) for mass in masses]


@given(st.integers(1, 33), st.integers(0, 999), st.sampled_from([1, 5, 30]))
def test_the_tree_depends_on_its_weights_alone(n, seed, block):
    """However they came about: by few or many updates, repeated places or a rebuild."""
    rng, tree, weights = np.random.default_rng(seed), SumTree(n), np.zeros(n)
    for _ in range(6):
        places, values = rng.integers(0, n, block), rng.random(block)
        tree.update(places, values)
        for place, value in zip(places, values, strict=True):
            weights[place] = value  # of several for one place the last counts
    again = SumTree(n)
    again.rebuild(weights)
    np.testing.assert_array_equal(tree.leaves, weights)
    np.testing.assert_array_equal(tree._nodes, again._nodes)


def test_rounding_does_not_pile_up():
    rng, tree = np.random.default_rng(2), SumTree(100)
    for _ in range(2000):
        tree.update(rng.integers(0, 100, 50), 10.0 ** rng.integers(-12, 12, 50))
    tree.update(np.arange(100), np.ones(100))
    assert tree.total == 100.0


@pytest.mark.parametrize(
    ("place", "weight"), [([3], [1.0]), ([-1], [1.0]), ([0], [-1.0]), ([0], [np.nan]), ([0], [np.inf])]
)
def test_updates_that_cannot_be_change_nothing(place, weight):
    tree = SumTree(3)
    with pytest.raises(ValueError, match=r"finite and 0 or larger|index from"):
        tree.update(np.array(place), np.array(weight))
    assert tree.total == 0
    with pytest.raises(ValueError, match="at least one leaf"):
        SumTree(0)


def filled(alpha, priorities, seed=0, capacity=None):
    rng = np.random.default_rng(seed)
    buffer = Prioritized(capacity or len(priorities), alpha, rng)
    buffer.update(buffer.add(len(priorities)), priorities)
    return buffer


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("stratified", [False, True])
def test_items_come_in_proportion_to_a_power_of_their_priority(alpha, stratified):
    priorities = np.array([1.0, 2.0, 4.0, 0.5, 8.0])
    probability = priorities**alpha / (priorities**alpha).sum()
    buffer = filled(alpha, priorities)
    slots = np.concatenate([buffer.sample(50, 0.4, stratified)[0] for _ in range(400)])
    expected = probability * len(slots)
    chi = ((np.bincount(slots, minlength=5) - expected) ** 2 / expected).sum()
    assert chi < 18.5  # 4 degrees of freedom, p = 0.001; stratified draws vary less


def test_stratified_draws_vary_less():
    buffer = filled(1.0, np.ones(10))
    counts = np.bincount(buffer.sample(1000, 0.0, stratified=True)[0], minlength=10)
    assert np.abs(counts - 100).max() <= 1


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_weights_are_the_importance_ratio_over_the_largest_of_them(beta):
    priorities = np.array([1.0, 3.0, 6.0, 10.0])
    buffer = filled(0.7, priorities)
    slots, weights = buffer.sample(64, beta)
    probability = priorities**0.7 / (priorities**0.7).sum()
    expected = (4 * probability[slots]) ** -beta
    np.testing.assert_allclose(weights, expected / expected.max(), rtol=1e-12)


def test_full_correction_makes_the_weighted_mean_that_of_uniform_draws():
    """E[w x] / E[w] = mean of x at beta = 1, whatever the priorities."""
    values = np.array([1.0, 2.0, 3.0, 10.0])
    slots, weights = filled(1.0, [5.0, 1.0, 1.0, 0.5]).sample(200_000, 1.0)
    assert np.average(values[slots], weights=weights) == pytest.approx(4.0, abs=0.05)


def test_new_items_get_the_largest_priority_and_the_oldest_place():
    buffer = Prioritized(3, 1.0, np.random.default_rng(0))
    assert buffer.sample(4, 0.5)[0].shape == (0,)
    buffer.update(buffer.add(3), [1.0, 5.0, 2.0])
    buffer.update([1], [0.1])
    assert buffer.add(1).tolist() == [0]
    np.testing.assert_allclose(buffer._tree.leaves, [5.0, 0.1, 2.0])
    assert (buffer.size, buffer.seen, buffer.max_priority) == (3, 4, 5.0)


def test_an_item_of_priority_0_never_comes_and_all_zero_is_refused():
    buffer = filled(1.0, [0.0, 1.0, 0.0])
    assert set(buffer.sample(500, 1.0)[0].tolist()) == {1}
    buffer.update([1], [0.0])
    with pytest.raises(ValueError, match="total weight 0"):
        buffer.sample(1, 1.0)


def test_saved_and_loaded_it_goes_on_the_same():
    rng, other_rng = np.random.default_rng(5), np.random.default_rng(6)
    one, other = Prioritized(50, 0.6, rng), Prioritized(50, 0.6, other_rng)
    one.update(one.add(40), np.random.default_rng(7).random(40))
    other.load(one.state())
    other_rng.bit_generator.state = rng.bit_generator.state
    for buffer in (one, other):
        buffer.add(20)
    for mine, theirs in zip(one.sample(99, 0.5), other.sample(99, 0.5), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(ValueError, match=r"this buffer has 0\.5"):
        Prioritized(50, 0.5, rng).load(one.state())
    with pytest.raises(ValueError, match="this one has 49"):
        Prioritized(49, 0.6, rng).load(one.state())


@pytest.mark.parametrize(
    ("slots", "priorities"), [([2], [1.0]), ([-1], [1.0]), ([0], [-1.0]), ([0], [np.nan]), ([0, 1], [1.0])]
)
def test_updates_of_what_is_not_stored_are_refused(slots, priorities):
    buffer = Prioritized(4, 1.0, np.random.default_rng(0))
    buffer.add(2)
    with pytest.raises(ValueError, match=r"filled ones|finite, 0 or larger|equally long"):
        buffer.update(slots, priorities)
    buffer.update([], [])


@pytest.mark.parametrize("alpha", [-0.1, np.nan, np.inf])
def test_exponents_that_cannot_be_are_refused(alpha):
    with pytest.raises(ValueError, match="alpha"):
        Prioritized(3, alpha, np.random.default_rng(0))
    with pytest.raises(ValueError, match="beta"):
        filled(1.0, [1.0]).sample(1, alpha)
