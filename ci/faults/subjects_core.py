"""The readers of clrepro, each with a valid file."""

import gzip
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clrepro.errors import BusyError, DataError, UsageError
from faults.hostile import checkpoint, torch_zip
from faults.subject import AUTHORED, CHECKSUM, EVIDENCE, Subject

ERRORS = (DataError, UsageError, BusyError)
PROFILE = """
[quick]
seeds = [0, 1]
data_note = "ten numbers"
prepare = [["get_data.py", "numbers", "--out_dir", "{data}"]]
[[quick.row]]
setting = "walk/6"
method = "short"
command = "main.py --model short --data_path {data}/ --seed {seed}"
seconds = 0.1
"""
CLAIMS = """
title = "A paper"
notes = ["one"]
[metrics]
RA = "retained accuracy"
[[value]]
profile = "quick"
setting = "walk/6"
method = ["short", "long"]
metric = "RA"
status = "not-found"
source = "nowhere"
[[ordering]]
profile = "quick"
claim = "short is better"
setting = "walk/6"
metric = "RA"
better = "short"
worse = "long"
slack_pct = 1.0
"""


def subjects() -> Iterator[Subject]:
    """Yields every reader of the core."""
    yield from _sweep_files()
    yield from _checkpoints()
    yield from _pickles()
    yield from _data_sets()


def record() -> Any:
    """A run record."""
    from clrepro.records import RunRecord

    return RunRecord(
        paper="mer", profile="quick", setting="walk/6", method="short", seed=3,
        command=["main.py", "--seed", "3"], settings={"lr": 0.1, "model": "short"}, settings_hash="ab" * 32,
        metrics={"RA": 0.75, "LA": float("nan")}, series={"R": [[0.5, float("nan")], [0.25, 0.75]]},
        data={"file": "x", "sha256": "00"},
        versions={"python": "3.11"}, cost={"wall_s": 1.25},
    )  # fmt: skip


def _write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def _sweep_files() -> Iterator[Subject]:
    from clrepro.check import read_baseline, write_baseline
    from clrepro.claims import load_claims
    from clrepro.records import load_many, read_record
    from clrepro.runs import RunDir
    from clrepro.sweep import Job, load_profiles

    def made_record(folder: Path) -> Path:
        return _write(folder / "records" / "seed3.json", record().to_json())

    def made_baseline(folder: Path) -> Path:
        write_baseline(folder / "mer.json", "mer", "quick", [record()])
        return folder / "mer.json"

    def made_job(folder: Path) -> Path:
        return _write(
            folder / "job.json", Job("mer", "quick", "walk/6", "short", 3, ["main.py"], "ab", 1.5).to_json()
        )

    def report(path: Path) -> Any:
        """What `cl-repro report` does with records."""
        from clrepro.report.tables import results_table

        records, problems = load_many(path.parent.parent)
        from clrepro.claims import Claims

        if problems:
            raise DataError(problems[0])
        table = results_table(
            "mer", "quick", records, Claims("t", {name: name for r in records for name in r.metrics})
        )
        return (table.markdown() + table.csv()).encode()

    def home(folder: Path) -> Path:
        return _write(folder / "papers" / "mer" / "profiles.toml", PROFILE)

    def done(path: Path) -> Any:
        return RunDir(path.parent).done()

    def made_done(folder: Path) -> Path:
        RunDir(folder).mark_done({"RA": 0.5, "note": "x"})
        return folder / "done.json"

    yield Subject("records", made_record, read_record, CHECKSUM, ERRORS, None, unsealed)
    yield Subject("records in a report", made_record, report, CHECKSUM, ERRORS, None, unsealed)
    yield Subject("baselines", made_baseline, lambda path: read_baseline(path, "mer"), CHECKSUM, ERRORS,
                  None, unsealed)  # fmt: skip
    yield Subject("jobs", made_job, lambda path: Job.from_json(_text(path)), EVIDENCE, ERRORS)
    yield Subject("profiles", home, lambda path: load_profiles(path.parents[2], "mer"), AUTHORED, ERRORS)
    yield Subject(
        "claims", lambda folder: _write(folder / "claims.toml", CLAIMS), load_claims, AUTHORED, ERRORS
    )
    yield Subject("done markers", made_done, done, AUTHORED, ERRORS)


def unsealed(data: bytes) -> bytes:
    """A JSON file without its checksum."""
    body = json.loads(data)
    del body["sha256"]
    return json.dumps(body).encode()


def _text(path: Path) -> str:
    """A job arrives as text that somebody has decoded."""
    return path.read_bytes().decode("utf-8", errors="replace")


def _checkpoints() -> Iterator[Subject]:
    from clrepro.runs import decode_state, encode_state

    state = {"x": np.arange(40.0), "n": np.int64(3), "deep": {"list": [1, 2.5, "a", None, np.eye(3)]}}

    def made(folder: Path) -> Path:
        return _write(folder / "task.state", encode_state(state))

    def read(path: Path) -> Any:
        return decode_state(path.read_bytes(), str(path))

    def body(data: bytes) -> bytes:
        return data[data.index(b"\n") + 1 :]

    yield Subject("checkpoints", made, read, CHECKSUM, ERRORS, None, body, checkpoint)


def _pickles() -> Iterator[Subject]:
    from clrepro import restricted

    content = {
        "a": [1, 2.5, "b", None, (1, 2)],
        "x": np.arange(12, dtype=np.float32).reshape(3, 4),
        "s": {1, 2},
    }

    def made(folder: Path) -> Path:
        return _write(folder / "x.pkl", pickle.dumps(content, 4))

    def made_old(folder: Path) -> Path:
        return _write(folder / "x.pkl", pickle.dumps(content, 0))

    def made_torch(folder: Path) -> Path:
        try:
            import torch
        except ModuleNotFoundError:
            return made(folder)
        return _write(folder / "x.pkl", pickle.dumps({"w": torch.arange(6.0), "l": [torch.eye(2)]}, 2))

    def storage(folder: Path, payload: bytes) -> Path:
        """A pickle that hands its payload to the reader of torch storages."""
        call = b"\x80\x04\x8c\x0dtorch.storage\x8c\x10_load_from_bytes\x93B"
        return _write(folder / "x.pkl", call + len(payload).to_bytes(4, "little") + payload + b"\x85R.")

    yield Subject("pickles", made, restricted.load, EVIDENCE, ERRORS, storage)
    yield Subject("pickles of protocol 0", made_old, restricted.load, EVIDENCE, ERRORS)
    yield Subject("pickled tensors", made_torch, restricted.load, EVIDENCE, ERRORS,
                  lambda folder, payload: storage(folder, torch_zip(payload)))  # fmt: skip


def _data_sets() -> Iterator[Subject]:
    from clrepro.datasets.cifar import read_cifar
    from clrepro.datasets.folder import read_folder
    from clrepro.datasets.idx import read_idx
    from clrepro.datasets.svhn import read_svhn

    idx = (
        b"\0\0\x08\x03" + (5).to_bytes(4, "big") + (8).to_bytes(4, "big") * 2 + bytes(range(256)) + bytes(64)
    )

    def svhn(folder: Path) -> Path:
        from scipy.io import savemat

        x, y = (
            np.arange(32 * 32 * 3 * 4, dtype=np.uint8).reshape(32, 32, 3, 4),
            np.array([[1], [2], [10], [3]], np.uint8),
        )
        savemat(folder / "train_32x32.mat", {"X": x, "y": y}, do_compression=True)
        return folder / "train_32x32.mat"

    yield Subject("idx files", lambda folder: _write(folder / "images", idx), read_idx, EVIDENCE, ERRORS)

    def packed(folder: Path, data: bytes = idx) -> Path:
        return _write(folder / "images.gz", gzip.compress(data, mtime=0))

    yield Subject("idx files, gz", packed, read_idx, EVIDENCE, ERRORS, packed)
    yield Subject("svhn", svhn, read_svhn, EVIDENCE, ERRORS)
    yield Subject("cifar, binary tar", lambda folder: _cifar(folder, python=False),
                  lambda path: read_cifar(path, "cifar10"), EVIDENCE, ERRORS)  # fmt: skip
    yield Subject("cifar, python tar", lambda folder: _cifar(folder, python=True),
                  lambda path: read_cifar(path, "cifar10"), EVIDENCE, ERRORS,
                  lambda folder, data: _cifar(folder, python=True, payload=data))  # fmt: skip
    yield Subject(
        "cifar, a file", _cifar_file, lambda path: read_cifar(path.parent, "cifar10"), EVIDENCE, ERRORS
    )
    yield Subject(
        "images in a zip", _pictures, lambda path: read_folder(path, 32), EVIDENCE, ERRORS, _pictures
    )
    yield from _archives()


def _cifar(folder: Path, python: bool, payload: bytes | None = None) -> Path:
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    path = folder / "cifar-10.tar.gz"
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for i, name in enumerate(names):
            pixels = np.full((2, 3072), i, np.uint8)
            if python:
                data = (
                    payload
                    if payload is not None and i == 0
                    else pickle.dumps({"data": pixels, "labels": [i, 1]}, 2)
                )
                inner = f"cifar-10-batches-py/{name}"
            else:
                data, inner = (
                    b"".join(bytes([i]) + row.tobytes() for row in pixels),
                    f"cifar-10-batches-bin/{name}.bin",
                )
            info = tarfile.TarInfo(inner)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def _cifar_file(folder: Path) -> Path:
    with tarfile.open(_cifar(folder / "packed", python=True)) as archive:
        archive.extractall(folder, filter="data")
    for path in (folder / "cifar-10-batches-py").iterdir():
        path.rename(folder / path.name)
    (folder / "cifar-10-batches-py").rmdir()
    return folder / "data_batch_1"


def picture(size: int, value: int, form: str = "PNG") -> bytes:
    """A small image file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.full((size, size), value, np.uint8)).convert("RGB").save(buffer, form)
    return buffer.getvalue()


def _pictures(folder: Path, payload: bytes | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for i, name in enumerate(("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png")):
            archive.writestr(name, payload if payload is not None and i == 0 else picture(32, i))
    return folder / "images.zip"


def _archives() -> Iterator[Subject]:
    from clrepro.datasets import mini_imagenet, notmnist
    from clrepro.datasets.cub import LISTS, read_cub

    def letters(folder: Path, payload: bytes | None = None) -> Path:
        members = {
            f"notMNIST_small/{letter}/{i}.png": picture(28, i)
            for letter in notmnist.LETTERS
            for i in range(3)
        }
        members["notMNIST_small/A/0.png"] = (
            payload if payload is not None else members["notMNIST_small/A/0.png"]
        )
        return _write(folder / "notMNIST_small.tar.gz", _targz(members))

    def birds(folder: Path, payload: bytes | None = None) -> Path:
        lists = ("1 001.A/a.jpg\n2 002.B/b.jpg\n", "1 1\n2 2\n", "1 1\n2 0\n")
        members = {f"CUB_200_2011/{name}": text.encode() for name, text in zip(LISTS, lists, strict=True)}
        members["CUB_200_2011/images/001.A/a.jpg"] = (
            payload if payload is not None else picture(40, 7, "JPEG")
        )
        members["CUB_200_2011/images/002.B/b.jpg"] = picture(50, 9, "JPEG")
        return _write(folder / "CUB_200_2011.tgz", _targz(members))

    def caches(folder: Path) -> Path:
        for part in mini_imagenet.PARTS:
            images = np.arange(3 * 84 * 84 * 3, dtype=np.uint8).reshape(3, 84, 84, 3)
            _write(folder / part, pickle.dumps({"image_data": images, "class_dict": {"n1": [0, 1, 2]}}, 4))
        return folder / "train"

    def read_caches(path: Path) -> Any:
        """The reader with one class of three images, not 100 of 600: the official files have 1.3 GB."""
        saved = mini_imagenet.PER_CLASS, mini_imagenet.TRAIN_PER_CLASS, dict(mini_imagenet.PARTS)
        mini_imagenet.PER_CLASS, mini_imagenet.TRAIN_PER_CLASS = 3, 2
        mini_imagenet.PARTS.update(dict.fromkeys(saved[2], 1))
        try:
            return mini_imagenet.read_mini_imagenet({part: path.parent / part for part in saved[2]})
        finally:
            mini_imagenet.PER_CLASS, mini_imagenet.TRAIN_PER_CLASS = saved[:2]
            mini_imagenet.PARTS.update(saved[2])

    yield Subject("notmnist", letters, notmnist.read_notmnist, EVIDENCE, ERRORS, letters)
    yield Subject("cub", birds, read_cub, EVIDENCE, ERRORS, birds)
    yield Subject("mini-imagenet", caches, read_caches, EVIDENCE, ERRORS)


def _targz(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
