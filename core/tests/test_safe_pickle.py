"""The restricted reader: plain things come back equal, everything else is refused and nothing runs."""

import collections
import contextlib
import datetime
import io
import os
import pickle
import subprocess
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clrepro.errors import DataError
from clrepro.io import safe_pickle

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
    assert safe_pickle.loads(pickle.dumps(PLAIN, protocol), "x") == PLAIN


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_arrays_and_scalars_come_back_equal(array, protocol):
    back = safe_pickle.loads(pickle.dumps({"a": array}, protocol), "x")["a"]
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype.newbyteorder("=")
    if array.size:
        scalar = array.ravel()[0]
        assert safe_pickle.loads(pickle.dumps(scalar, protocol), "x") == scalar


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tensors_come_back_as_arrays(protocol):
    torch = pytest.importorskip("torch")
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    values = {
        "plain": base, "view": base[1:, ::2], "turned": base.T, "long": torch.tensor([1, 2]),
        "bool": torch.tensor([True]), "empty": torch.zeros(0, 3), "number": torch.tensor(4.0),
    }  # fmt: skip
    back = safe_pickle.loads(pickle.dumps(values, protocol), "x")
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
        (getattr, ("os", "system"), "getattr"),
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
    data = pickle.dumps([Hostile(function, *arguments)], protocol)
    with pytest.raises(DataError, match=r"bad.pkl: asks for .* no plain value") as caught:
        safe_pickle.loads(data, "bad.pkl")
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
            safe_pickle.loads(pickle.dumps(value, protocol), "bad.pkl")


def test_damage_gives_one_clear_line(tmp_path):
    whole = pickle.dumps(PLAIN)
    for data in (b"", b"not a pickle", whole[:-1], whole[: len(whole) // 2], b"Ngx\n."):
        with pytest.raises(DataError, match=r"^x: not a complete pickle") as caught:
            safe_pickle.loads(data, "x")
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="cannot be read"):
        safe_pickle.load(tmp_path / "none.pkl")
    (tmp_path / "big.pkl").write_bytes(whole)
    with pytest.raises(DataError, match="expected at most 10"):
        safe_pickle.load(tmp_path / "big.pkl", max_bytes=10)
    assert safe_pickle.load(tmp_path / "big.pkl") == PLAIN


def test_a_tensor_may_not_reach_beyond_its_storage():
    torch = pytest.importorskip("torch")
    data = pickle.dumps(torch.arange(4.0), 2)
    # The pickled size is the tuple (4,); ask for 100 elements of the 4 that are stored.
    at = data.rindex(b"K\x04\x85")
    with pytest.raises(DataError, match="reaches to element 99 of a storage of 4"):
        safe_pickle.loads(data[: at + 1] + b"\x64" + data[at + 2 :], "x")


def shared(n):
    """A tuple of two of the same tuple, n times: 2 n bytes that unfold to 2^n."""
    return b")" + b"2\x86" * n


U1 = b"cnumpy\ndtype\n(U\x02u1I00\nI01\ntR"
LISTS = b"(" + b"".join(b"]q%c" % i for i in range(250)) + b"t0" + b"".join(
    b"h%ch%ca0" % (i, i + 1) for i in range(249)
) + b"h\x00."  # fmt: skip


@pytest.mark.parametrize(
    ("data", "message"),
    [
        # a number in the table of objects, in all the ways in which it may be written
        (b"\x80\x04Nr\xff\xff\xff\x7f.", "numbers an object 2147483647"),
        (b"Np2147483647\n.", "numbers an object"),
        (b"Np+90000000\n.", "numbers an object"),
        (b"Np9_000_0000\n.", "numbers an object"),
        (b"Np 90000000\n.", "numbers an object"),
        # lengths beyond the file
        (b"\x80\x04\x8e" + (1 << 60).to_bytes(8, "little") + b".", "truncated or damaged"),
        (b"\x80\x05\x96" + (1 << 35).to_bytes(8, "little") + b".", "truncated or damaged"),
        (b"\x80\x04\x8d" + b"\xff" * 8 + b".", "truncated or damaged"),
        # depth, which crashes the interpreter where it is hashed
        (b"}" + b")" + b"\x85" * 3_000_000 + b"Ns.", "nested more than 200 deep"),
        (b"\x80\x04" + b"]" * 50_000 + b"a" * 49_999 + b".", "nested more than 200 deep"),
        (LISTS, "nested more than 200 deep"),
        # parts used over and over: as key, in a set, in a call, in a message
        (b"}" + shared(60) + b"Ns.", "over and over"),
        (b"\x80\x04\x8f(" + shared(60) + b"\x90.", "over and over"),
        (b"\x80\x04(" + shared(60) + b"\x91.", "over and over"),
        (b"cnumpy\ndtype\n" + shared(60) + b"\x85R.", "over and over"),
        (b"cnumpy\ndtype\n" + shared(15) + b"\x85R.", "array of no known kind"),
        (b"c_codecs\nencode\n(U\x01a" + shared(15) + b"tR.", "another code than latin1"),
        (b"cnumpy.core.numeric\n_frombuffer\n(C\x00" + U1 + shared(15) + b"U\x01CtR.", "not made of sizes"),
        (
            b"B" + (10_000).to_bytes(4, "little") + b"x" * 10_000 + b"q\x000"
            + b"c__builtin__\nbytearray\nq\x010(" + b"h\x01h\x00\x85R" * 5_000 + b"t.",
            "over and over",
        ),
    ],
)  # fmt: skip
def test_few_bytes_cannot_ask_for_much_memory_time_or_depth(data, message):
    with pytest.raises(DataError, match=message) as caught:
        safe_pickle.loads(data, "x")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"cnumpy\nndarray\n((I5\ntU\x01OtR.", "made by a call"),
        (b"cnumpy\nndarray\n(I5\nt\x81.", "not a complete pickle"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(c__builtin__\nlist\n(I0\ntU\x01btR.", "another class"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR.", "a bare array"),
        (b"cnumpy\ndtype\n.", "holds a bare call"),
        (b"(lcdatetime\ndate\na.", "holds a bare type"),
        (b"ctorch\nFloatStorage\n.", "holds a bare storagename"),
        (b"ccollections\nOrderedDict\n)R}U\x05itemsNsb.", "attributes of its own"),
        (b"}" + U1 + b"Ns.", "a dtype as key"),
        (b"\x80\x02U\x01aQ.", "an object outside the file"),
    ],
)
def test_only_plain_values_come_out(data, message):
    with pytest.raises(DataError, match=message):
        safe_pickle.loads(data, "x")


@pytest.mark.parametrize("name", ["torch\nFloatStorage", "_codecs\nencode", "numpy\ndtype", "datetime\ndate"])
@pytest.mark.parametrize("state", [b"}U\x05dtypeU\x03<f8s", b"(N}U\x05dtypeU\x03<f8st"])
def test_a_file_cannot_change_how_later_files_are_read(name, state):
    with pytest.raises(DataError):
        safe_pickle.loads(b"c" + name.encode() + b"\n" + state + b"b.", "x")
    for (home, key), stand_in in safe_pickle._GLOBALS.items():
        assert home != "torch" or stand_in.dtype == safe_pickle._STORAGES[key]


def test_arrays_are_real_arrays_and_shared_parts_stay_shared():
    array = np.arange(3)
    value = {"pair": (array, [array]), "dtype": array.dtype, "queue": collections.deque([array])}
    value["self"] = value
    back = safe_pickle.loads(pickle.dumps(value, 2), "x")
    assert type(back["pair"][0]) is np.ndarray
    assert back["pair"][0] is back["pair"][1][0] is back["queue"][0]
    assert back["dtype"] == array.dtype
    assert back["self"] is back
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(back["pair"][0])), array)


def torch_file(table, layout, tail=b"", magic=safe_pickle.TORCH_MAGIC, little=True):
    """A pickle that holds a file of torch's with this table of objects."""
    if layout == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("archive/data.pkl", table)
            archive.writestr("archive/byteorder", "little" if little else "big")
            archive.writestr("archive/data/0", np.arange(3, dtype="<f4").tobytes())
        inner = buffer.getvalue()
    else:
        inner = b"".join(pickle.dumps(part, 2) for part in (magic, 1001, {"little_endian": little})) + table
        inner += (
            tail or pickle.dumps(["0"], 2) + (3).to_bytes(8, "little") + np.arange(3, dtype="<f4").tobytes()
        )
    return b"ctorch.storage\n_load_from_bytes\n(B" + len(inner).to_bytes(4, "little") + inner + b"tR."


def storage(n, key=b"0"):
    return (
        b"\x80\x02(U\x07storagectorch\nFloatStorage\nU\x01"
        + key
        + b"U\x03cpuM"
        + n.to_bytes(2, "little")
        + b"NtQ."
    )


@pytest.mark.parametrize("layout", ["zip", "stream"])
def test_both_layouts_of_torch_files_are_read(layout):
    back = safe_pickle.loads(torch_file(storage(3), layout), "x")
    np.testing.assert_array_equal(back, np.arange(3, dtype=np.float32))


@pytest.mark.parametrize("layout", ["zip", "stream"])
@pytest.mark.parametrize(
    ("table", "more", "message"),
    [
        (b"cposix\nsystem\n(U\x0atouch marktR.", {}, r"asks for posix\.system"),
        (b"Np90000000\n.", {}, "numbers an object"),
        (b"(l.", {}, "holds no storage|does not name"),
        (storage(60_000), {}, "shorter torch file"),
        (storage(3), {"little": False}, "big-endian"),
    ],
)
def test_torch_files_inside_are_read_as_strictly(layout, table, more, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        safe_pickle.loads(torch_file(table, layout, **more), "x")
    assert not list(tmp_path.iterdir())


def test_torch_files_in_unknown_layouts_are_refused():
    with pytest.raises(DataError, match="unknown layout"):
        safe_pickle.loads(torch_file(storage(3), "stream", magic=7), "x")
    tail = pickle.dumps(["0"], 2) + (2).to_bytes(8, "little") + bytes(12)
    with pytest.raises(DataError, match="2 elements where 3 were announced"):
        safe_pickle.loads(torch_file(storage(3), "stream", tail), "x")


def test_bytes_of_an_array_may_look_like_numbering():
    array = np.frombuffer(b"r\xff\xff\xff\x7fp999999999\n" * 50, np.uint8)
    np.testing.assert_array_equal(safe_pickle.loads(pickle.dumps(array), "x"), array)


def test_a_tensor_may_not_repeat_one_number_without_end():
    torch = pytest.importorskip("torch")
    small = torch.zeros(1).expand(1000)
    assert safe_pickle.loads(pickle.dumps(small), "x").shape == (1000,)
    with pytest.raises(DataError, match="repeat a storage of 1 over and over"):
        safe_pickle.loads(pickle.dumps(torch.zeros(1).expand(3_000_000)), "x")


# No deadline: a slow machine is no finding, and time that a file can ask for is bounded above.
@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_data_error(data):
    with contextlib.suppress(DataError):
        safe_pickle.loads(data, "x")


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=6), st.integers(0, 900), st.sampled_from(PROTOCOLS))
def test_a_damaged_file_gives_a_value_or_a_data_error(patch, place, protocol):
    whole = pickle.dumps({"values": [1.5, "text", np.arange(9)], "task": 3}, protocol)
    place %= len(whole)
    with contextlib.suppress(DataError):
        safe_pickle.loads(whole[:place] + patch + whole[place + len(patch) :], "x")
