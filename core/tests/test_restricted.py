"""The restricted reader: plain things come back equal, everything else is refused and nothing runs."""

import collections
import contextlib
import datetime
import os
import pickle
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clrepro import restricted
from clrepro.errors import DataError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
PLAIN = {
    "none": None, "numbers": [1, -(2**70), 2.5, True, 3 + 4j], "texts": ("a", b"b", bytearray(b"c"), "ü"),
    "sets": [{1, 2}, frozenset({3})], "ordered": collections.OrderedDict(b=1, a=2),
    "queue": collections.deque([1, 2], maxlen=3),
    "times": [datetime.datetime(2025, 7, 17, 11, 2, 39), datetime.timedelta(1), datetime.UTC],
}  # fmt: skip
ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.array([1, 2], ">i4"), np.array(["ab", "c"]), np.array([True, False]), np.zeros((0, 4)), np.array(7.0),
]  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_come_back_equal(protocol):
    assert restricted.loads(pickle.dumps(PLAIN, protocol), "x") == PLAIN


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_arrays_and_scalars_come_back_equal(array, protocol):
    back = restricted.loads(pickle.dumps({"a": array}, protocol), "x")["a"]
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype.newbyteorder("=")
    if array.size:
        scalar = array.ravel()[0]
        assert restricted.loads(pickle.dumps(scalar, protocol), "x") == scalar


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tensors_come_back_as_arrays(protocol):
    torch = pytest.importorskip("torch")
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    values = {
        "plain": base, "view": base[1:, ::2], "turned": base.T, "long": torch.tensor([1, 2]),
        "bool": torch.tensor([True]), "empty": torch.zeros(0, 3), "number": torch.tensor(4.0),
    }  # fmt: skip
    back = restricted.loads(pickle.dumps(values, protocol), "x")
    for name, tensor in values.items():
        np.testing.assert_array_equal(back[name], tensor.numpy())


class Hostile:
    """Pickles into a call of a function with arguments."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("touch MARK",), "system"),
        (eval, ("__import__('os').system('touch MARK')",), "eval"),
        (exec, ("open('MARK', 'w')",), "exec"),
        (subprocess.Popen, (["touch", "MARK"],), "Popen"),
        (getattr, (os, "system"), "getattr"),
        (open, ("MARK", "w"), "open"),
        (np.load, ("MARK",), "load"),
        (Path, ("MARK",), "athlib"),
        (Fraction, (1, 2), "fractions.Fraction"),
    ],
)
def test_hostile_pickles_are_refused_and_nothing_runs(
    function, arguments, named, protocol, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    try:
        data = pickle.dumps([Hostile(function, *arguments)], protocol)
    except TypeError:
        pytest.skip("this protocol cannot name it")
    with pytest.raises(DataError, match=r"bad.pkl: asks for .* no plain value") as caught:
        restricted.loads(data, "bad.pkl")
    assert named in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "value",
    [
        np.array([{}], dtype=object),
        np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]),
        np.array(["2025-01-01"], dtype="datetime64[D]"),
    ],
)
def test_arrays_of_anything_but_numbers_and_texts_are_refused(value):
    for protocol in PROTOCOLS:
        with pytest.raises(DataError, match=r"bad\.pkl"):
            restricted.loads(pickle.dumps(value, protocol), "bad.pkl")


def test_damage_gives_one_clear_line(tmp_path):
    whole = pickle.dumps(PLAIN)
    deep = b"\x80\x04" + b"]" * 50_000 + b"a" * 49_999 + b"."
    cases = [
        b"",
        b"not a pickle",
        whole[:-1],
        whole[: len(whole) // 2],
        deep,
        b"\x80\x04\x8e" + b"\xff" * 8 + b".",
    ]
    for data in cases[:4] + cases[5:]:
        with pytest.raises(DataError, match=r"^x: not a complete pickle") as caught:
            restricted.loads(data, "x")
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="cannot be read"):
        restricted.load(tmp_path / "none.pkl")
    (tmp_path / "big.pkl").write_bytes(whole)
    with pytest.raises(DataError, match="expected at most 10"):
        restricted.load(tmp_path / "big.pkl", max_bytes=10)
    assert restricted.load(tmp_path / "big.pkl") == PLAIN


def test_a_tensor_may_not_reach_beyond_its_storage():
    torch = pytest.importorskip("torch")
    data = pickle.dumps(torch.arange(4.0), 2)
    # The pickled size is the tuple (4,); ask for 100 elements of the 4 that are stored.
    at = data.rindex(b"K\x04\x85")
    with pytest.raises(DataError, match="over a storage of 4"):
        restricted.loads(data[: at + 1] + b"\x64" + data[at + 2 :], "x")


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04N" + b"r\xff\xff\xff\x7f" + b".",
        b"Np2147483647\n.",
        b"\x80\x04Nr\x00\x00\x00\x08.",
        b"\x80\x04N" + b"p99999999999999999999999\n" + b".",
    ],
)
def test_a_few_bytes_cannot_ask_for_any_amount_of_memory(data):
    with pytest.raises(DataError, match=r"^x: (numbers an object|not a complete pickle)"):
        restricted.loads(data, "x")


def test_bytes_of_an_array_may_look_like_numbering():
    array = np.frombuffer(b"r\xff\xff\xff\x7fp999999999\n" * 50, np.uint8)
    np.testing.assert_array_equal(restricted.loads(pickle.dumps(array), "x"), array)


def test_a_tensor_may_not_repeat_one_number_without_end():
    torch = pytest.importorskip("torch")
    small = torch.zeros(1).expand(1000)
    assert restricted.loads(pickle.dumps(small), "x").shape == (1000,)
    with pytest.raises(DataError, match="repeats a storage"):
        restricted.loads(pickle.dumps(torch.zeros(1).expand(3_000_000)), "x")


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_data_error(data):
    with contextlib.suppress(DataError):
        restricted.loads(data, "x")


@given(st.binary(min_size=1, max_size=6), st.integers(0, 400))
def test_a_damaged_file_gives_a_value_or_a_data_error(patch, place):
    whole = pickle.dumps({"values": [1.5, "text", np.arange(9)], "task": 3})
    place %= len(whole)
    with contextlib.suppress(DataError):
        restricted.loads(whole[:place] + patch + whole[place + len(patch) :], "x")
