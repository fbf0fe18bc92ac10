"""Per-class rings against one bounded queue per class."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clrepro.buffers import PerClass

N_CLASSES = 4


@given(st.integers(1, 5), st.lists(st.lists(st.integers(0, N_CLASSES - 1), max_size=12), max_size=6))
def test_each_class_keeps_its_latest(capacity, blocks):
    buffer, held = PerClass(capacity, N_CLASSES), {}
    queues = [deque(maxlen=capacity) for _ in range(N_CLASSES)]
    item = 0
    for labels in blocks:
        for label, slot in zip(labels, buffer.add(labels), strict=True):
            assert slot // capacity == label
            held[int(slot)] = item
            queues[label].append(item)
            item += 1
    for label, queue in enumerate(queues):
        slots = buffer.slots_of(label)
        assert sorted(held[int(slot)] for slot in slots) == list(queue)
    assert buffer.size == sum(map(len, queues))
    assert buffer.sizes.tolist() == [len(queue) for queue in queues]
    assert (buffer.seen, buffer.capacity) == (item, capacity * N_CLASSES)


def test_draws_are_uniform_over_all_that_is_stored():
    buffer, rng = PerClass(3, N_CLASSES), np.random.default_rng(0)
    assert buffer.sample(4, rng).shape == (0,)
    buffer.add([0, 2, 2, 3, 3, 3, 3])
    counts = np.bincount(buffer.sample(12_000, rng), minlength=12)
    assert np.flatnonzero(counts).tolist() == [0, 6, 7, 9, 10, 11]
    assert ((counts[counts > 0] - 2000) ** 2 / 2000).sum() < 20.5  # 5 degrees of freedom, p = 0.001


def test_saved_and_loaded_it_goes_on_the_same():
    one, other = PerClass(2, 3), PerClass(2, 3)
    one.add([0, 0, 0, 2])
    state = one.state()
    other.load(state)
    assert one.add([0, 2, 1]).tolist() == other.add([0, 2, 1]).tolist() == [1, 5, 2]
    assert state["seen"].tolist() == [3, 0, 1]  # a copy, not a view
    with pytest.raises(ValueError, match="2 slots for each of 3 classes"):
        PerClass(3, 3).load(state)


@pytest.mark.parametrize("labels", [[3], [-1], [0.5], [[0]]])
def test_labels_that_cannot_be_are_refused_and_not_counted(labels):
    buffer = PerClass(2, 3)
    with pytest.raises(ValueError, match="labels"):
        buffer.add(labels)
    assert buffer.seen == 0
    with pytest.raises(ValueError, match="label 3"):
        buffer.slots_of(3)


@pytest.mark.parametrize("sizes", [(0, 3), (2, 0)])
def test_empty_shapes_are_refused(sizes):
    with pytest.raises(ValueError, match="1 or more"):
        PerClass(*sizes)
