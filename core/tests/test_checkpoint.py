"""Run folders: nobody sees half a file, a lock dies with its process, a bad checkpoint costs one step."""

import copy
import dataclasses
import errno
import hashlib
import io
import logging
import math
import os
import resource
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clrepro.errors import BusyError, DataError
from clrepro.io.atomic import remove_temporaries, write_atomically
from clrepro.io.checkpoint import RunDir, decode_state, encode_state
from clrepro.io.lock import hold_lock

STATE: dict[str, Any] = {
    "theta": np.arange(5, dtype=np.float32),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "empty": np.zeros((0, 784), np.uint8),
    "scalar": np.float32(0.1),
    "rng": {"state": 2**127 + 1, "has_uint32": 0, "name": "PCG64"},
    "nested": [1, [2.5, {"a": np.array(7)}], None, True, "text é"],
    "odd floats": [math.inf, 0.1 + 0.2, -0.0],
}


def same(a: Any, b: Any) -> bool:
    """Equal in type, dtype, shape and value, all the way down."""
    if isinstance(a, np.ndarray | np.generic):
        return type(a) is type(b) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_state_round_trip_is_exact(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "a/b")
    assert run.load_state("x") is None
    run.save_state("x", STATE)
    assert same(run.load_state("x"), STATE)
    assert encode_state(STATE) == encode_state(STATE)
    assert b"pickle" not in encode_state(STATE)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": (1, 2)}, r"state\.a is a tuple"),
        ({"a": [b"x"]}, r"state\.a\[0\] is a bytes"),
        ({"a": {1: 2}}, "key 1"),
        ({"a": {"__array__": 0}}, "__array__"),
        ({"a": np.array([object()])}, "Python objects"),
    ],
)
def test_what_cannot_be_stored_exactly_is_refused(value: dict[str, Any], place: str) -> None:
    with pytest.raises(TypeError, match=place):
        encode_state(value)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_damage_to_a_checkpoint_is_noticed(data: st.DataObject) -> None:
    raw = bytearray(encode_state({"w": np.arange(40.0), "n": 3}))
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DataError, match=r"where\.state"):
        decode_state(bytes(raw), "where.state")


def sealed(body: bytes) -> bytes:
    return b"clrepro-state 1 " + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, body in members.items():
            file.writestr(name, body)
    return buffer.getvalue()


def npy(array: Any, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def tree(text: bytes) -> bytes:
    return npy(np.frombuffer(text, np.uint8))


def huge_header() -> bytes:
    """An array of 800 TB, of which only the header is there."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": (10**14,)})
    return buffer.getvalue()


REFER = tree(b'{"a": {"__array__": 0}}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"PK nonsense",
        archive({}),
        archive({"tree.npy": tree(b"[1, 2]")}),
        archive({"tree.npy": tree(b"{")}),
        archive({"tree.npy": tree(b"[" * 10**6)}),
        archive({"tree.npy": REFER}),
        archive({"tree.npy": REFER, "a0.npy": huge_header()}),
        archive({"tree.npy": REFER, "a0.npy": huge_header().replace(b"}", b" ")}),
        archive({"tree.npy": REFER, "a0.npy": npy(np.array([[]], object), True)}),
        archive({"tree.npy": REFER, "a0.npy": npy(np.zeros(10**6))}, 8),
    ],
)
def test_a_hostile_checkpoint_with_a_right_checksum_is_refused(body: bytes) -> None:
    with pytest.raises(DataError, match=r"evil\.state"):
        decode_state(sealed(body), "evil.state")


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "gone"])
def test_a_corrupt_checkpoint_costs_one_step(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = RunDir(tmp_path)
    for step in (1, 2, 3):
        path = run.save_state("x", {"step": step})
    raw = path.read_bytes()
    flipped = raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:]
    if damage == "gone":  # killed between the two renames of a save
        path.unlink()
    else:
        path.write_bytes({"cut": raw[:50], "flip": flipped, "empty": b""}[damage])
    with caplog.at_level(logging.WARNING):
        assert run.load_state("x") == {"step": 2}
    assert ("checkpoint" in caplog.text) == (damage != "gone")
    run.save_state("x", {"step": 4})  # must not replace the good step 2 by the bad step 3
    path.write_bytes(b"bad again")
    assert run.load_state("x") == {"step": 2}


def test_two_corrupt_checkpoints_are_an_error(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.save_state("x", {"step": 1})
    path = run.save_state("x", {"step": 2})
    path.write_bytes(b"bad")
    path.with_name("x.state.prev").write_bytes(b"bad")
    with pytest.raises(DataError, match="start afresh"):
        run.load_state("x")
    run.remove_state("x")
    assert run.load_state("x") is None


def test_done_marker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = RunDir(tmp_path)
    assert run.done() is None
    run.mark_done({"ra": 0.5})
    assert run.done() == {"ra": 0.5}
    (tmp_path / "done.json").write_text('{"ra": 0.')
    assert run.done() is None
    assert "unfinished" in caplog.text


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(
    step: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDir(tmp_path)
    run.atomic_write_text("a.txt", "old")
    run.save_state("x", {"step": 1})
    before = names(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(DataError, match=rf"a\.txt.*{os.strerror(code)}") as caught:
        run.atomic_write_text("a.txt", "new")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"x\.state"):
        run.save_state("x", {"step": 2})
    monkeypatch.undo()
    assert names(tmp_path) == before
    assert (tmp_path / "a.txt").read_text() == "old"
    assert run.load_state("x") == {"step": 1}


def test_a_real_write_failure_keeps_the_old_file(tmp_path: Path) -> None:
    """A file-size limit makes the kernel refuse the bytes half way, as a full disk does."""
    run = RunDir(tmp_path)
    run.save_state("x", {"w": np.zeros(10)})
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
    try:
        with pytest.raises(DataError, match=r"x\.state: cannot be written"):
            run.save_state("x", {"w": np.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert names(tmp_path) == ["x.state"]
    assert same(run.load_state("x"), {"w": np.zeros(10)})


def test_a_file_where_a_folder_is_expected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be made a folder"):
        RunDir(tmp_path / "file" / "run")
    with pytest.raises(DataError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "a.txt", b"")
    with pytest.raises(DataError, match="lock"), hold_lock(tmp_path / "no" / ".lock"):
        pass


def test_the_lock_names_its_holder_and_clears_left_overs(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    (tmp_path / ".a.txt.0011aabb.tmp").write_text("half")
    with run.lock():
        assert names(tmp_path) == [".lock"]
        with pytest.raises(BusyError, match=f"process {os.getpid()}"), RunDir(tmp_path).lock():
            pass
    with run.lock():
        pass
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/.b.json.0011aabb.tmp").write_text("half")
    remove_temporaries(tmp_path)
    assert names(tmp_path / "deep") == []


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from clrepro.io.checkpoint import RunDir\n"
        "with RunDir(Path(sys.argv[1])).lock():\n    print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=f"process {child.pid};"), RunDir(tmp_path).lock():
            pass
        child.send_signal(signal.SIGKILL)
    with RunDir(tmp_path).lock():
        pass


def test_a_lock_file_removed_with_its_folder_is_not_trusted(tmp_path: Path) -> None:
    with hold_lock(tmp_path / ".lock"):
        (tmp_path / ".lock").unlink()
        with hold_lock(tmp_path / ".lock"):  # another file by now: nobody holds it
            pass


def test_a_key_that_another_version_wrote_otherwise_is_one_line() -> None:
    state = decode_state(encode_state({"net": {"weights": [1.0]}, "done": 2}), "run/task.state")
    assert state == {"net": {"weights": [1.0]}, "done": 2}
    assert "rngs" not in state
    assert state.get("rngs") is None
    for part in (state, state["net"]):
        with pytest.raises(DataError, match=r"run/task\.state: a checkpoint of another version .*no 'rngs'"):
            part["rngs"]


def test_a_loaded_state_can_be_copied_saved_and_taken_apart_as_any_dict() -> None:
    @dataclasses.dataclass
    class Rows:
        seen: dict[str, Any]

    state = decode_state(encode_state({"net": {"weights": [1.0]}}), "run/task.state")
    for twin in (dataclasses.asdict(Rows(state))["seen"], copy.deepcopy(state), {**state}):
        assert twin == state
    assert decode_state(encode_state(copy.deepcopy(state)), "other.state") == state
