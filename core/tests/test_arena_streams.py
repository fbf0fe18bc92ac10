"""Streams by name: same draws for every method, other draws for another seed, validation apart from tests."""

from dataclasses import replace

import numpy as np
import pytest

from clrepro.arena.streams import KINDS, ArenaStream, plan
from clrepro.errors import UsageError

SMALL = {"n_tasks": 2, "examples": 30, "tests": 20, "memory": 10}


def small(kind, **more):
    made = plan(kind, "quick", **(SMALL | more))
    return replace(made, n_tasks=5) if kind.startswith("split") else made


def batches(stream, task):
    return [np.concatenate(part) for part in zip(*stream.batches(task), strict=True)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_draws_the_same_stream_whoever_asks_and_in_which_order(kind) -> None:
    one, other = ArenaStream(small(kind), 3), ArenaStream(small(kind), 3)
    later = batches(one, 1)
    first = batches(one, 0)
    for mine, theirs in zip((first, later), (batches(other, 0), batches(other, 1)), strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])
        np.testing.assert_array_equal(mine[1], theirs[1])
    assert not np.array_equal(first[0], batches(ArenaStream(small(kind), 4), 0)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_examples_are_scaled_and_labels_are_those_of_the_task(kind) -> None:
    stream = ArenaStream(small(kind), 0)
    for task in range(2):
        for x, y in [*stream.batches(task), stream.tests(task)]:
            assert x.dtype == np.float32
            assert y.dtype == np.int64
            assert 0 <= x.min() <= x.max() <= 1
            assert set(y.tolist()) <= set(stream.spec.classes[task])
    assert sum(len(y) for _, y in stream.batches(0)) == 30
    assert len(stream.tests(0)[1]) == 20


def test_an_epoch_more_shows_the_same_examples_in_another_order() -> None:
    x, y = batches(ArenaStream(small("rotations", epochs=2), 0), 1)
    once, twice = x[:30], x[30:]
    assert not np.array_equal(once, twice)
    np.testing.assert_array_equal(np.sort(once, axis=0), np.sort(twice, axis=0))
    assert len(y) == 60


def test_the_tasks_of_a_split_share_no_class_and_hold_all() -> None:
    spec = ArenaStream(small("split-class"), 1).spec
    assert sorted(c for task in spec.classes for c in task) == list(range(10))
    assert ArenaStream(small("split-domain"), 1).spec.n_classes == 2


def test_what_is_held_back_is_neither_trained_on_nor_the_test_images() -> None:
    """Digits are told apart by their pixels; the first rotation leaves them as they are."""
    sizes = {"examples": 8000, "tests": 1500, "n_tasks": 1}
    table = ArenaStream(small("rotations", **sizes), 0)
    choice = ArenaStream(replace(small("rotations", **sizes), measured_on="validation"), 0)
    trained = {row.tobytes() for row in batches(table, 0)[0]}
    held = [row.tobytes() for row in choice.tests(0)[0]]
    tests = {row.tobytes() for row in table.tests(0)[0]}
    assert sum(row in trained for row in held) <= 0.001 * len(held)  # equal images would be a coincidence
    assert sum(row in tests for row in held) <= 0.001 * len(held)


def test_the_name_says_all_that_differs() -> None:
    base = small("rotations")
    others = [replace(base, **{key: 3}) for key in ("n_tasks", "examples", "memory", "epochs", "first")]
    names = {one.name for one in [base, *others, replace(base, measured_on="validation")]}
    assert len(names) == 7


@pytest.mark.parametrize(
    ("name", "sizes", "says"),
    [
        ("rots", {}, "one of permutations, rotations"),
        ("mnist-rots", {}, "one of permutations, rotations"),
        ("rotations", {"memory": 0}, "--memory 0"),
        ("rotations", {"n_tasks": -1}, "--tasks -1"),
    ],
)
def test_what_cannot_be_planned_is_one_line(name, sizes, says) -> None:
    with pytest.raises(UsageError, match=says):
        plan(name, "quick", **sizes)


def test_more_tasks_than_classes_and_too_few_images_are_one_line() -> None:
    with pytest.raises(UsageError, match="10 classes of digits"):
        ArenaStream(plan("split-class", "quick", n_tasks=11), 0)
    with pytest.raises(UsageError, match="--examples 60000: digits has 8333"):
        ArenaStream(plan("rotations", "quick", examples=60000), 0)


def test_a_data_set_with_one_class_is_one_line() -> None:
    images, labels = np.zeros((60, 784), np.uint8), np.zeros(60, np.int64)
    with pytest.raises(UsageError, match="all of one class"):
        ArenaStream(small("rotations"), 0, (images, labels, images, labels))
