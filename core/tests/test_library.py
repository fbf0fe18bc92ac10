"""The parts as a user takes them: buffer with payload, the matrix that fills up, streams of data sets."""

import numpy as np
import pytest

from clrepro import Seeds, datasets, metrics, streams
from clrepro.buffers import ReservoirBuffer

X, Y = np.arange(40, dtype=np.float32).reshape(20, 2), np.arange(20)


def buffer(capacity: int = 5, seed: int = 0) -> ReservoirBuffer:
    return ReservoirBuffer(capacity, rng=np.random.default_rng(seed))


def test_fields_of_an_item_stay_together() -> None:
    one = buffer()
    for at in range(0, 20, 3):
        one.add(x=X[at : at + 3], y=Y[at : at + 3])
    assert len(one) == 5
    drawn = one.sample(50)
    np.testing.assert_array_equal(drawn["x"][:, 0], 2 * drawn["y"])
    assert (drawn["x"].dtype, drawn["y"].dtype) == (np.float32, np.int64)


def test_every_item_is_kept_equally_often() -> None:
    kept = np.zeros(20)
    for seed in range(2000):
        one = buffer(seed=seed)
        one.add(y=Y)
        kept[one.state()["columns"]["y"]] += 1
    assert np.abs(kept - 500).max() < 5 * np.sqrt(500 * 0.75)


@pytest.mark.parametrize(
    "arrays", [{"x": X}, {"x": X, "y": Y[:3]}, {"x": X, "y": Y, "z": Y}, {"x": X[:, :1], "y": Y}]
)
def test_other_fields_are_refused_and_nothing_is_lost(arrays: dict[str, np.ndarray]) -> None:
    one = buffer()
    one.add(x=X, y=Y)
    before = one.state()
    with pytest.raises(ValueError, match=r"field|shape"):
        one.add(**arrays)
    after = one.state()
    assert before["reservoir"] == after["reservoir"]
    np.testing.assert_array_equal(before["columns"]["y"], after["columns"]["y"])


def test_an_empty_buffer_says_so() -> None:
    with pytest.raises(ValueError, match="nothing was added yet"):
        buffer().sample(1)
    with pytest.raises(ValueError, match="one item per row"):
        buffer().add()
    with pytest.raises(ValueError, match="one item per row"):
        buffer().add(y=np.int64(3))


def test_a_continued_buffer_is_the_straight_one() -> None:
    straight, first = buffer(), np.random.default_rng(0)
    for at in range(0, 20, 5):
        straight.add(x=X[at : at + 5], y=Y[at : at + 5])
    one = ReservoirBuffer(5, first)
    one.add(x=X[:10], y=Y[:10])
    other = ReservoirBuffer(5, first)
    other.load(one.state())
    other.add(x=X[10:15], y=Y[10:15])
    other.add(x=X[15:], y=Y[15:])
    assert straight.state()["columns"]["y"].tolist() == other.state()["columns"]["y"].tolist()
    with pytest.raises(ValueError, match="state of"):
        buffer(6).load(one.state())


def test_the_matrix_gives_the_fields_numbers() -> None:
    matrix = metrics.AccuracyMatrix(3)
    matrix.record(0, [0.9, 0.2, 0.1])
    matrix.record(1, [0.7, 0.8, 0.3])
    matrix.record(2, [0.5, 0.9, 0.6])
    assert matrix.average_accuracy() == pytest.approx(2.0 / 3)
    assert matrix.learning_accuracy() == pytest.approx(2.3 / 3)
    assert matrix.backward_transfer() == pytest.approx((-0.4 + 0.1) / 2)
    assert matrix.forgetting() == pytest.approx((0.4 - 0.1) / 2)
    assert matrix.forward_transfer([0.1, 0.1, 0.1]) == pytest.approx((0.1 + 0.2) / 2)


def test_rows_may_end_at_the_task_just_learnt() -> None:
    matrix = metrics.AccuracyMatrix(2)
    matrix.record(0, [0.9])
    assert np.isnan(matrix.average_accuracy())
    matrix.record(1, [0.5, 0.7])
    assert matrix.forgetting() == pytest.approx(0.4)
    assert np.isnan(metrics.AccuracyMatrix(1).forgetting())


@pytest.mark.parametrize(
    ("after", "row", "message"),
    [
        (2, [0.5] * 2, "task 2"),
        (1, [0.5], r"from 2 to 2"),
        (0, [0.5] * 3, "from 1 to 2"),
        (0, [50.0], "fractions"),
        (0, [np.nan], "fractions"),
    ],
)
def test_what_is_no_row_is_refused(after: int, row: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.AccuracyMatrix(2).record(after, row)


def test_streams_take_data_sets_as_they_are_loaded() -> None:
    data = datasets.load("mnist_quick")
    tasks = streams.permuted(data, n_tasks=3, rng=Seeds(0)["tasks"])
    same = streams.permuted(streams.flat(data), 3, Seeds(0)["tasks"])
    assert (len(tasks), tasks.n_inputs, tasks.n_classes) == (3, 784, 10)
    np.testing.assert_array_equal(tasks[2].x_train, same[2].x_train)
    assert streams.split_classes(data, 2)[4].classes == (8, 9)
    assert streams.rotated(data, [0.0, 90.0])[0].x_train.shape == (10_000, 784)


def test_a_name_is_a_generator() -> None:
    seeds = Seeds(3)
    assert seeds["memory"] is seeds.generator("memory")
