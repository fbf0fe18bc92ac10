"""No reader waits for a pipe or reads a device, and links to regular files stay fine."""

import os
import time
from pathlib import Path

import pytest

from clrepro.datasets import cifar, folder, locate, read_idx, svhn, tar_files
from clrepro.errors import DataError
from clrepro.io import safe_pickle, strict_json
from clrepro.io.checkpoint import RunDir
from clrepro.io.regular_files import check_regular_file, read_regular_file, read_regular_text
from clrepro.records import read_record
from clrepro.report.bench_results import read_bench

READERS = {
    "bytes": lambda path: read_regular_file(path, 1 << 20),
    "text": lambda path: read_regular_text(path, 1 << 20),
    "check": lambda path: check_regular_file(path, 1 << 20),
    "idx": read_idx,
    "pickle": safe_pickle.load,
    "cifar": cifar.read_python_batch,
    "zip": folder._zipped,
    "tar": lambda path: tar_files._from_archive(path, lambda _: True, 1 << 20, 1 << 20),
    "files": lambda path: tar_files.folder_files(path.parent, lambda _: True, 1 << 20),
    "svhn": svhn.read_svhn,
    "sha256": locate.__globals__["sha256"],
    "json": strict_json.load_json_object,
    "toml": strict_json.load_toml,
    "record": read_record,
    "measured": read_bench,
    "state": lambda path: RunDir(path.parent).load_state(path.stem),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["pipe", "/dev/zero", "/dev/urandom"])
def test_readers_refuse_what_has_no_end(reader, kind, tmp_path):
    path = tmp_path / "x.state"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(kind)
    began = time.monotonic()
    with pytest.raises(DataError, match=r"x\.state: is a pipe, socket or device") as caught:
        list(READERS[reader](path) or ())
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 5  # a second, where nobody else computes


def test_a_link_to_a_file_is_that_file_and_lengths_are_bounded(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").symlink_to("a")
    assert read_regular_file(tmp_path / "b", 5) == b"12345"
    with pytest.raises(DataError, match="5 bytes; expected at most 4"):
        read_regular_file(tmp_path / "b", 4)
    assert b"cpu" in read_regular_file(Path("/proc/cpuinfo"), 1 << 24)  # states a length of 0
    with pytest.raises(DataError, match="more than 10 bytes"):
        read_regular_file(Path("/proc/cpuinfo"), 10)


@pytest.mark.parametrize(
    ("name", "said"),
    [("none", "no such file"), (".", "is a folder"), ("x" * 300, "File name too long"), ("a\0b", "no name")],
)
def test_what_cannot_be_opened_is_one_line(name, said, tmp_path):
    for reader in (read_regular_file, read_regular_text, check_regular_file):
        with pytest.raises(DataError, match=said) as caught:
            reader(tmp_path / name, 10)
        assert "\n" not in str(caught.value)


def test_a_text_is_utf_8(tmp_path):
    (tmp_path / "a").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not a text in UTF-8"):
        read_regular_text(tmp_path / "a", 10)
