"""Tasks: what is moved, what is kept, who gets which images."""

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clrepro import streams
from clrepro.datasets import load
from clrepro.streams import Stream, Task


def data(n=60, n_test=30, n_pixels=16):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (n + n_test, n_pixels)).astype(np.uint8)
    y = np.arange(n + n_test) % 6
    return x[:n], y[:n], x[n:], y[n:]


@given(st.integers(1, 200), st.integers(1, 200))
def test_slices_are_disjoint_and_cover(n, parts):
    if parts > n:
        with pytest.raises(ValueError, match="1 part to one part per example"):
            streams.slices(n, parts)
        return
    places = [list(range(n))[part] for part in streams.slices(n, parts)]
    assert [place for part in places for place in part] == list(range(n))
    assert {len(place) for place in places[:-1]} <= {n // parts}


def test_a_permutation_is_shared_by_training_and_test_and_differs_between_tasks():
    split = data()
    tasks = list(streams.permuted(split, 3, np.random.default_rng(1)))
    for task in tasks:
        assert sorted(task.x_train[0]) == sorted(split[0][0])
        # Every column of the original is unique, so it tells which pixel moved where.
        moved = [int(np.flatnonzero((split[0] == column[:, None]).all(0))[0]) for column in task.x_train.T]
        np.testing.assert_array_equal(task.x_test, split[2][:, moved])
        np.testing.assert_array_equal(task.y_train, split[1])
    assert len({task.x_train.tobytes() for task in tasks}) == 3
    first = streams.permuted(split, 2, np.random.default_rng(1), first_identity=True)[0]
    np.testing.assert_array_equal(first.x_train, split[0])


def test_disjoint_tasks_share_no_image():
    split = data(61, 31)
    tasks = list(streams.rotated(split, [0, 0, 0], disjoint=True))
    assert [len(task.y_train) for task in tasks] == [20, 20, 21]
    assert [len(task.y_test) for task in tasks] == [10, 10, 11]
    np.testing.assert_array_equal(np.concatenate([task.x_train for task in tasks]), split[0])


def test_tasks_are_made_when_asked_for_and_the_same_each_time():
    stream = streams.permuted(data(), 100, np.random.default_rng(2))
    assert (len(stream), stream.n_inputs, stream.n_classes) == (100, 16, 6)
    np.testing.assert_array_equal(stream[7].x_train, stream[7].x_train)
    assert stream[7].classes == tuple(range(6))


def test_a_mapped_stream_passes_each_task_through_a_function_when_it_is_asked_for():
    seen = []

    def halved(task):
        seen.append(task.name)
        return replace(task, x_train=task.x_train[::2], y_train=task.y_train[::2])

    stream = streams.permuted(data(), 3, np.random.default_rng(0))
    made = stream.map(halved)
    assert seen == []
    assert (len(made), made.n_inputs, made.n_classes) == (3, stream.n_inputs, stream.n_classes)
    np.testing.assert_array_equal(made[1].x_train, stream[1].x_train[::2])
    np.testing.assert_array_equal(made[1].x_test, stream[1].x_test)
    assert seen == [stream[1].name] * 2


def test_many_permutations_draw_a_few_examples_each():
    split = data()
    stream = streams.many_permutations(split, 5, 10, np.random.default_rng(3))
    for task in stream:
        assert task.x_train.shape == (10, 16)
        assert len(task.y_test) == 30
        bags = {tuple(sorted(row)) for row in split[0].tolist()}
        assert all(tuple(sorted(row)) in bags for row in task.x_train.tolist())
    assert len({task.y_train.tobytes() for task in stream}) > 1
    with pytest.raises(ValueError, match="61 examples per task: there are 60"):
        streams.many_permutations(split, 2, 61, np.random.default_rng(0))


def test_classes_are_dealt_out_with_all_their_images():
    split = data()
    kept = list(streams.split_classes(split, 2))
    assert [task.classes for task in kept] == [(0, 1), (2, 3), (4, 5)]
    assert [set(task.y_train) for task in kept] == [{0, 1}, {2, 3}, {4, 5}]
    assert sum(len(task.y_train) for task in kept) == 60
    renumbered = streams.split_classes(split, 3, labels="within_task", order=[5, 0, 3, 1, 2, 4])
    assert renumbered.n_classes == 3
    first = renumbered[0]
    np.testing.assert_array_equal(np.array([5, 0, 3])[first.y_test], split[3][np.isin(split[3], (5, 0, 3))])


@pytest.mark.parametrize(("per_task", "labels"), [(4, "keep"), (0, "keep"), (-2, "keep"), (2, "other")])
def test_uneven_splits_and_unknown_words_are_refused(per_task, labels):
    with pytest.raises(ValueError, match=r"must divide evenly|one of keep"):
        streams.split_classes(data(), per_task, labels=labels)


@pytest.mark.parametrize(
    ("order", "reason"),
    [([0, 1, 1, 2], "class 1 occurs twice"), ([0, 10], "class 10 has no training images"),
     ([0, -1], "class -1 has no"), ([], "must divide"), ([0, 1.5], "whole numbers")],
)  # fmt: skip
@pytest.mark.parametrize("labels", ["keep", "within_task"])
def test_class_orders_that_make_no_tasks_are_refused(order, reason, labels):
    with pytest.raises(ValueError, match=reason):
        streams.split_classes(data(), 2, order=order, labels=labels)


def test_a_class_without_training_images_makes_no_task():
    x, y, x_test, y_test = data()
    with pytest.raises(ValueError, match="class 3 has no training images"):
        streams.split_classes((x[y != 3], y[y != 3], x_test, y_test), 2)
    # Where all classes are in every task it is enough that each label has an output.
    late = (x[y < 5], y[y < 5], x_test, y_test)
    assert streams.permuted(late, 2, np.random.default_rng(0)).n_classes == y_test.max() + 1 == 6
    assert streams.many_permutations(late, 2, 3, np.random.default_rng(0)).n_classes == 6


def test_images_must_be_square_to_turn_and_match_their_labels():
    with pytest.raises(ValueError, match="square"):
        streams.rotated(data(n_pixels=15), [10])
    x, y = np.zeros((3, 4), np.uint8), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match=r"bad: images \(3, 4\) and labels \(2,\)"):
        Task("bad", x, y, x, y, (0,))
    assert len(Stream("none", [], 1, 1)) == 0


@pytest.mark.skipif(not os.environ.get("CL_REPRO_DATA"), reason="needs the official MNIST files")
def test_split_mnist_has_the_sizes_everyone_knows():
    mnist = load("mnist")
    split = (mnist.x_train.reshape(-1, 784), mnist.y_train, mnist.x_test.reshape(-1, 784), mnist.y_test)
    tasks = list(streams.split_classes(split, 2))
    assert [len(task.y_train) for task in tasks] == [12665, 12089, 11263, 12183, 11800]
    assert [len(task.y_test) for task in tasks] == [2115, 2042, 1874, 1986, 1983]
