"""Remembered tensors: the rules of `clrepro.buffers.Columns`, on torch."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from clrepro.adapters.tensor_columns import TensorColumns  # noqa: E402
from clrepro.buffers import Columns  # noqa: E402


def filled() -> TensorColumns:
    columns = TensorColumns(4)
    columns.write([2, -1, 0, 2], x=torch.arange(8.0).reshape(4, 2), y=torch.tensor([5, 6, 7, 8]))
    return columns


def test_it_keeps_what_the_numpy_columns_keep() -> None:
    twin = Columns(4, {"x": ((2,), np.float32), "y": ((), np.int64)})
    twin.write([2, -1, 0, 2], x=np.arange(8, dtype=np.float32).reshape(4, 2), y=np.array([5, 6, 7, 8]))
    for name, column in filled().state().items():
        np.testing.assert_array_equal(column, twin.state()[name], strict=True)
    found = filled().read([0, 2, 2])
    assert found["y"].tolist() == [7, 8, 8]
    assert found["x"].tolist() == [[4, 5], [6, 7], [6, 7]]


def test_what_was_written_and_read_is_a_copy() -> None:
    x = torch.ones(1, 2, requires_grad=True)
    columns = TensorColumns(1)
    columns.write([0], x=x * 2)
    columns.read([0])["x"].zero_()
    assert columns.read([0])["x"].tolist() == [[2, 2]]
    assert not columns.read([0])["x"].requires_grad


@pytest.mark.parametrize(
    ("slots", "tensors", "words"),
    [
        ([0], {"x": torch.zeros(1, 2)}, "fields"),
        ([0], {"x": torch.zeros(1, 3), "y": torch.zeros(1, dtype=torch.int64)}, "one row per slot"),
        ([0, 1], {"x": torch.zeros(1, 2), "y": torch.zeros(1, dtype=torch.int64)}, "one row per slot"),
        ([0], {"x": torch.zeros(1, 2), "y": torch.zeros(1)}, "int64"),
        ([4], {"x": torch.zeros(1, 2), "y": torch.zeros(1, dtype=torch.int64)}, "slots from 4"),
        ([0.5], {"x": torch.zeros(1, 2), "y": torch.zeros(1, dtype=torch.int64)}, "one row of integers"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    slots: list[float], tensors: dict[str, torch.Tensor], words: str
) -> None:
    columns = filled()
    with pytest.raises(ValueError, match=words):
        columns.write(slots, **tensors)
    assert columns.state()["y"].tolist() == filled().state()["y"].tolist()


def test_state_and_load() -> None:
    new = TensorColumns(4)
    new.load(filled().state())
    assert {k: v.tolist() for k, v in new.state().items()} == {
        k: v.tolist() for k, v in filled().state().items()
    }
    with pytest.raises(ValueError, match="here 5 slots"):
        TensorColumns(5).load(filled().state())
    empty = TensorColumns(4)
    empty.load({})
    with pytest.raises(ValueError, match="nothing was written"):
        empty.read([0])
    with pytest.raises(ValueError, match="at least one row"):
        TensorColumns(0)
