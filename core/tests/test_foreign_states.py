"""States and counts that cannot be: of another shape, negative, too large.  Nothing of them is taken over."""

import numpy as np
import pytest

from clrepro.buffers import PerClass, Prioritized, Reservoir, Ring, SumTree
from clrepro.kernels.mlp import SparseRows


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(("capacity", "law"), [(3, "exact"), (50, "exact"), (5, "legacy")])
def test_a_reservoir_takes_no_state_of_another(capacity, law):
    other = Reservoir(capacity, rng(), law)
    with pytest.raises(ValueError, match="state of a reservoir of 5 slots, law 'exact'"):
        other.load({**Reservoir(5, rng()).state(), "seen": 40})
    assert other.seen == 0


def test_states_of_earlier_versions_hold_the_counter_alone():
    reservoir = Reservoir(5, rng())
    reservoir.load({"seen": 40})
    assert (reservoir.seen, reservoir.size) == (40, 5)


@pytest.mark.parametrize("seen", [-1, 2.5, "7", None])
@pytest.mark.parametrize("made", [lambda: Reservoir(5, rng()), lambda: Ring(5)])
def test_counters_that_cannot_be_are_refused(made, seen):
    buffer = made()
    with pytest.raises(ValueError, match="items seen"):
        buffer.load({**buffer.state(), "seen": seen})
    assert buffer.seen == 0


@pytest.mark.parametrize("n", [-2, -1, 2.5])
@pytest.mark.parametrize(
    "made", [lambda: Reservoir(5, rng()), lambda: Ring(5), lambda: Prioritized(5, 0.6, rng())]
)
def test_nobody_offers_less_than_nothing(made, n):
    buffer = made()
    buffer.add(3)
    with pytest.raises(ValueError, match="items offered"):
        buffer.add(n)
    assert buffer.seen == 3


@pytest.mark.parametrize("seen", [[1, -1], [0.5, 1.0]])
def test_per_class_counters_that_cannot_be_are_refused(seen):
    buffer = PerClass(3, 2)
    with pytest.raises(ValueError, match="items seen"):
        buffer.load({**buffer.state(), "seen": np.array(seen)})
    assert buffer.seen == 0


def test_a_total_that_no_float_holds_is_refused_and_changes_nothing():
    tree = SumTree(3)
    tree.update(np.array([0, 2]), np.array([1e308, 1.0]))  # large, but it fits
    before = tree._nodes.copy()
    with pytest.raises(ValueError, match="more than any float holds"):
        tree.update(np.array([1]), np.array([1e308]))
    with pytest.raises(ValueError, match="more than any float holds"):
        tree.update(np.array([1, 0, 2]), 1e308)
    for weights in ([1e308, 1e308], [np.nan], [-1.0], [1.0] * 4):
        with pytest.raises(ValueError, match="weights"):
            tree.rebuild(np.array(weights))
    np.testing.assert_array_equal(tree._nodes, before)
    tree.update(np.array([0, 1]), np.array([1.0, 1e308]))  # the large one leaves, another comes
    assert tree.find(np.array([0.5, 1e300])).tolist() == [0, 1]


def test_priorities_whose_weights_add_up_too_high_leave_the_buffer_as_it_was():
    buffer = Prioritized(4, 2.0, rng())
    buffer.add(2)
    with pytest.raises(ValueError, match="weights"):
        buffer.update([0], [1e200])
    assert buffer.max_priority == 1.0
    buffer.update([0], [1e154])
    with pytest.raises(ValueError, match="2 more items of the largest priority"):
        buffer.add(2)
    assert (buffer.seen, buffer.size) == (2, 2)
    assert buffer.sample(5, 0.4)[0].tolist() == [0] * 5


def test_priority_0_is_not_sampled_whatever_alpha():
    buffer = Prioritized(3, 0.0, rng())
    buffer.add(3)
    buffer.update([0, 1, 2], [0.0, 5.0, 2.0])
    assert set(buffer.sample(300, 0.5)[0].tolist()) == {1, 2}
    np.testing.assert_array_equal(buffer.sample(9, 0.5)[1], 1)  # uniform over those that are


@pytest.mark.parametrize(
    "change",
    [{"weights": np.ones(2)}, {"weights": np.array([1.0, np.nan, 1.0])}, {"max_priority": 0.0},
     {"max_priority": np.inf}, {"weights": np.ones((3, 1))}, {"ring": {"capacity": 4, "seen": -3}}],
)  # fmt: skip
def test_a_prioritised_state_whose_parts_differ_is_not_loaded(change):
    one = Prioritized(4, 0.6, rng())
    one.update(one.add(3), [1.0, 2.0, 3.0])
    other = Prioritized(4, 0.6, rng())
    with pytest.raises(ValueError, match=r"weights|items seen"):
        other.load({**one.state(), **change})
    assert (other.size, other._tree.total) == (0, 0.0)


def test_slots_are_whole_numbers():
    buffer = Prioritized(4, 0.6, rng())
    buffer.add(3)
    with pytest.raises(ValueError, match="integers"):
        buffer.update([0.9], [1.0])


def test_packed_rows_take_no_state_of_another_shape():
    rows = SparseRows(3, 5)
    for other in (SparseRows(1, 5), SparseRows(4, 5), SparseRows(3, 1)):
        with pytest.raises(ValueError, match="other shapes"):
            rows.load(other.state())
    with pytest.raises(ValueError, match="other shapes"):
        rows.load({**rows.state(), "load": np.zeros(1)})
