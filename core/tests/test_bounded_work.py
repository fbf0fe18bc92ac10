"""Files of few bytes that ask for hours or gigabytes: one line, within seconds and 200 MB of their own."""

import io
import json
import pickle
import subprocess
import sys
import tarfile
import textwrap

import pytest

from clrepro.errors import DataError
from clrepro.io import safe_pickle

PRIME = 2**61 - 1


def many_keys():
    parts = [b"\x80\x04}("]
    for k in range(1, 60_000):
        parts.append(b"\x8a\x0a" + (k * PRIME).to_bytes(10, "little") + b"K\x00")
    return b"".join(parts) + b"u."


def nested_torch(levels=30):
    data = pickle.dumps(1)
    for _ in range(levels):
        data = b"ctorch.storage\n_load_from_bytes\n(B" + len(data).to_bytes(4, "little") + data + b"tR."
        # An old torch file: magic number, version, system, and what it holds.
        head = pickle.dumps(safe_pickle.TORCH_MAGIC, 2) + pickle.dumps(1001, 2)
        data = head + pickle.dumps({"little_endian": True}, 2) + data
    return b"ctorch.storage\n_load_from_bytes\n(B" + len(data).to_bytes(4, "little") + data + b"tR."


def members(n):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for k in range(n):
            archive.addfile(tarfile.TarInfo(f"A/{k}.png"))
    return buffer.getvalue()


def sparse():
    info = tarfile.TarInfo("A/x.png")
    info.pax_headers = {"GNU.sparse.map": "0,1," * 200_000 + "0,1", "GNU.sparse.size": str(1 << 40)}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    return buffer.getvalue()


CHILD = textwrap.dedent("""
    import json, resource, sys, time
    from pathlib import Path
    from clrepro.io import safe_pickle
    from clrepro.datasets.tar_files import opened, read_files
    from clrepro.errors import DataError

    def batches(path):
        with opened(path, 1 << 24, 1 << 28) as archive:
            list(archive)

    readers = {
        "pickle": safe_pickle.load,
        "batches": batches,
        "images": lambda path: [name for name, _ in read_files(path, lambda _: True, 1 << 24, 1 << 28)],
    }
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20), used + (200 << 20)))
    began = time.process_time()
    try:
        readers[sys.argv[1]](Path(sys.argv[2]))
        said = ""
    except DataError as problem:
        said = str(problem)
    print(json.dumps([said, time.process_time() - began]))
""")


@pytest.mark.parametrize(
    ("reader", "made", "said"),
    [
        ("pickle", many_keys, "more than 2000 integers"),
        ("pickle", nested_torch, "torch files in one another"),
        ("batches", lambda: members(3000), "more than 1000 files"),
        ("images", lambda: members(100_000), "more than 20000 files"),
        ("batches", sparse, "a sparse file"),
    ],
)
def test_hostile_files_take_little_time_and_memory(reader, made, said, tmp_path):
    (tmp_path / "x").write_bytes(made())
    words = [sys.executable, "-c", CHILD, reader, str(tmp_path / "x")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    message, seconds = json.loads(done.stdout)
    assert said in message
    assert "\n" not in message
    assert seconds < 3  # of the processor; a second on a machine with nothing else to do


def test_an_integer_that_python_does_not_write_out_is_refused():
    for data in (pickle.dumps({"seed": 10**5000}, protocol) for protocol in (2, 4)):
        with pytest.raises(DataError, match=r"an integer of 1\d{4} bits"):
            safe_pickle.loads(data, "x")
    assert safe_pickle.loads(pickle.dumps([2**70] * 1999), "x")[0] == 2**70
