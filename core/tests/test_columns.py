"""Columns against a list of items written one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clrepro.buffers import Columns

FIELDS = {"x": ((2,), np.float32), "y": ((), np.int64)}


@given(st.lists(st.lists(st.integers(-1, 4), max_size=9), max_size=5))
def test_writing_in_blocks_is_writing_one_by_one(blocks):
    columns, held, number = Columns(5, FIELDS), {}, 0
    for slots in blocks:
        items = np.arange(number, number + len(slots))
        columns.write(slots, x=np.stack([items, -items], axis=1).astype(np.float64), y=items)
        held |= {slot: item for slot, item in zip(slots, items.tolist(), strict=True) if slot >= 0}
        number += len(slots)
    back = columns.read(np.arange(5))
    assert back["y"].tolist() == [held.get(slot, 0) for slot in range(5)]
    np.testing.assert_array_equal(back["x"], [[held.get(s, 0), -held.get(s, 0)] for s in range(5)])


def test_reading_copies_and_bytes_are_counted():
    columns = Columns(3, FIELDS)
    columns.read([0, 0])["y"][:] = 9
    assert columns.read([0])["y"].tolist() == [0]
    assert columns.nbytes == 3 * (2 * 4 + 8)
    assert columns.names == ("x", "y")


@pytest.mark.parametrize(
    ("slots", "arrays", "message"),
    [
        ([5], {"x": np.zeros((1, 2)), "y": [1]}, "slots from 5 to 5"),
        ([-2], {"x": np.zeros((1, 2)), "y": [1]}, "slots from -2"),
        ([0.0], {"x": np.zeros((1, 2)), "y": [1]}, "one row of integers"),
        ([0], {"x": np.zeros((1, 2))}, "exactly"),
        ([0], {"x": np.zeros((1, 3)), "y": [1]}, "one row per slot"),
        ([0], {"x": np.zeros((1, 2)), "y": [1.5]}, "convert it first"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(slots, arrays, message):
    columns = Columns(5, FIELDS)
    with pytest.raises(ValueError, match=message):
        columns.write(slots, **arrays)
    assert not columns.read(np.arange(5))["y"].any()


def test_saved_and_loaded_they_are_the_same_and_their_own():
    one, other = Columns(3, FIELDS), Columns(3, FIELDS)
    one.write([2], x=[[1.0, 2.0]], y=[7])
    state = one.state()
    other.load(state)
    one.write([2], x=[[0.0, 0.0]], y=[0])
    assert other.read([2])["y"].tolist() == [7]
    for bad in (
        {"x": state["x"]},
        {**state, "y": state["y"].astype(np.int32)},
        {**state, "x": state["x"][:2]},
    ):
        with pytest.raises(ValueError, match="state"):
            other.load(bad)


@pytest.mark.parametrize(
    ("capacity", "fields"), [(0, FIELDS), (3, {}), (3, {"o": ((), object)}), (3, {"t": ((), "U4")})]
)
def test_columns_that_could_not_be_saved_are_refused(capacity, fields):
    with pytest.raises(ValueError, match=r"at least one|numbers or bool"):
        Columns(capacity, fields)
    with pytest.raises(ValueError, match="slots from -1"):
        Columns(3, FIELDS).read([-1])
