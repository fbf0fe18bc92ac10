"""The idx reader: every byte accounted for, each kind of damage named."""

import gzip

import numpy as np
import pytest

from clrepro.datasets import idx, read_idx
from clrepro.errors import DataError


def content(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


IMAGES = np.arange(2 * 3 * 4).reshape(2, 3, 4)


@pytest.mark.parametrize("array", [IMAGES, np.arange(5), np.zeros((0, 28, 28)), np.ones((1, 1, 1, 1))])
@pytest.mark.parametrize("name", ["x", "x.gz"])
def test_arrays_come_back_equal(array, name, tmp_path):
    data = content(array)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    back = read_idx(tmp_path / name)
    np.testing.assert_array_equal(back, array)
    assert back.dtype == np.uint8
    assert back.flags.writeable


WHOLE = content(IMAGES)
PACKED = gzip.compress(WHOLE)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x", b"", "it starts with nothing"),
        ("x", b"PK\x03\x04" + WHOLE, "not an idx file .it starts with 504b0304"),
        ("x", b"\x00\x00\x0d\x03" + WHOLE[4:], "idx type 0x0d with 3 dimensions; expected unsigned bytes"),
        ("x", b"\x00\x00\x08\x00" + WHOLE[4:], "with 0 dimensions"),
        ("x", b"\x00\x00\x08\x09" + WHOLE[4:], "with 9 dimensions"),
        ("x", WHOLE[:9], "truncated in its header .9 bytes of 16"),
        ("x", WHOLE[:-1], r"holds 23 bytes, but its header \(2, 3, 4\) asks for 24"),
        ("x", WHOLE + b"\x00", "holds more than 24 bytes, but its header"),
        ("x.gz", PACKED[:-9], "cannot be read"),
        ("x.gz", PACKED[:20] + b"\xff\xff" + PACKED[22:], "cannot be read"),
        ("x.gz", WHOLE, "cannot be read"),
    ],
)
def test_damage_is_named_in_one_line_with_the_file(name, data, message, tmp_path):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_one_that_unpacks_without_end(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="no such file"):
        read_idx(tmp_path / "none")
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(WHOLE + bytes(10_000_000)))
    with pytest.raises(DataError, match="holds more than 24 bytes"):
        read_idx(tmp_path / "bomb.gz")
    monkeypatch.setattr(idx, "MAX_BYTES", 1000)
    (tmp_path / "large").write_bytes(content(np.zeros((11, 10, 10))))
    with pytest.raises(DataError, match="expected at most"):
        read_idx(tmp_path / "large")


@pytest.mark.parametrize("shape", [(0, 2**32 - 1, 2**32 - 1), (2**32 - 1, 2**32 - 1, 0), (2**32 - 1, 28, 28)])
def test_shapes_that_no_array_can_have(shape, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes())
    with pytest.raises(DataError, match="no idx file of these data sets has more"):
        read_idx(path)
