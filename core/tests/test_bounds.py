"""Files made to harm their reader: none runs, none fills the memory, each ends in one line."""

import gzip
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clrepro.claims import load_claims
from clrepro.datasets import cub, decode, folder, mini_imagenet, svhn, tar_files
from clrepro.errors import DataError
from clrepro.io import safe_pickle
from clrepro.io.checkpoint import decode_state, encode_state
from clrepro.records import RunRecord, load_many, read_record

MB = 1 << 20


def tar_gz(path: Path, members: dict[str, bytes], packing: str = "gz") -> Path:
    with tarfile.open(path, f"w:{packing}") as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def read_all(path: Path, max_member: int = MB, max_archive: int = 4 * MB) -> list[tuple[str, bytes]]:
    return list(tar_files.read_files(path, lambda name: True, max_member, max_archive))


@pytest.mark.parametrize("packing", ["gz", "bz2", "xz", ""])
def test_archives_of_every_packing_are_read_and_bounded(packing: str, tmp_path: Path) -> None:
    path = tar_gz(tmp_path / "a", {"x": b"12", "y": bytes(MB)}, packing)
    assert read_all(path) == [("x", b"12"), ("y", bytes(MB))]
    with pytest.raises(DataError, match=r"y claims 1048576 bytes"):
        read_all(path, max_member=MB - 1)
    with pytest.raises(DataError, match="unpacks to more"):
        read_all(path, max_archive=MB - 1)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = b"\xff" * 20
    path.write_bytes(data)
    with pytest.raises(DataError, match="not a readable archive"):
        read_all(path)


@pytest.mark.parametrize("kind", [b"L", b"x", b"0"])
def test_a_long_name_cannot_ask_for_more_memory_than_a_file(kind: bytes, tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 1 << 30
    packed = gzip.compress(info.tobuf(tarfile.GNU_FORMAT)) + gzip.compress(bytes(64 * MB)) * 16
    (tmp_path / "a").write_bytes(packed)
    code = (
        "import resource, sys; from pathlib import Path; from clrepro.datasets import tar_files\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))\n"
        "list(tar_files.read_files(Path(sys.argv[1]), bool, 1 << 20, 1 << 33))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].startswith("clrepro.errors.DataError"), done.stderr


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_inside_of_any_zip_packing_is_named(packing: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", packing) as archive:
        archive.writestr("train/a/x.png", bytes(range(256)) * 16)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[60:90] = b"\xff" * 30
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"train/a/x\.png: not a|not a readable zip file"):
        folder.read_folder(tmp_path / "a.zip", 32)


def test_only_the_formats_of_the_data_sets_are_decoded() -> None:
    """Pillow hands PostScript to a program, and reads fifty formats more."""
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\nshowpage\n"
    image = decode.pillow(Path("x"))
    bitmap = io.BytesIO()
    image.new("L", (28, 28)).save(bitmap, "BMP")
    for data in (script, bitmap.getvalue()):
        with pytest.raises(DataError, match="no JPEG or PNG"):
            decode.decode(image, data, "x.png", 28)


def test_birds_named_twice_or_without_end_are_refused(tmp_path: Path) -> None:
    def lists(names: str, n: int, split: str = "1") -> Path:
        rows = {"images.txt": [names.format(i) for i in range(n)], "image_class_labels.txt": ["1"] * n,
                "train_test_split.txt": [split] * n}  # fmt: skip
        for name, words in rows.items():
            (tmp_path / name).write_text("".join(f"{i} {word}\n" for i, word in enumerate(words)))
        return tmp_path

    for path in (lists("a/x{}.jpg", cub.MAX_IMAGES + 1), lists("a/x.jpg", 2)):
        with pytest.raises(DataError, match="too many images, or one twice"):
            cub.read_cub(path)
    with pytest.raises(DataError, match="says 'yes'; expected 0 or 1"):
        cub.read_cub(lists("a/x{}.jpg", 2, "yes"))


@pytest.mark.parametrize("places", [{"a": [[1], [1, 2]]}, {1: [0]}, {"x" * 500: [0]}])
def test_places_of_no_shape_and_names_of_no_kind_are_refused(
    places: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(mini_imagenet, "PARTS", {"train": 1})
    table = {"image_data": np.zeros((1, 84, 84, 3), np.uint8), "class_dict": places}
    (tmp_path / "train").write_bytes(pickle.dumps(table))
    with pytest.raises(DataError, match="class"):
        mini_imagenet.read_mini_imagenet({"train": tmp_path / "train"})


def test_digits_of_other_kinds_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: Any) -> None:
    from scipy import io as scipy_io

    scipy_io.savemat(tmp_path / "x.mat", {"X": np.array([[1, "a"]], object), "y": np.ones(1)})
    monkeypatch.setattr(scipy_io, "loadmat", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(DataError, match="no images 'X'"):
        svhn.read_svhn(tmp_path / "x.mat")


def test_a_forged_checkpoint_cannot_take_an_array_twice() -> None:
    good = encode_state({"a": np.zeros(3), "b": np.zeros(2)})
    with np.load(io.BytesIO(good[good.index(b"\n") + 1 :])) as archive:
        parts = dict(archive)
    tree = json.dumps({"a": [{"__array__": 0}] * 2}).encode()
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{**parts, "tree": np.frombuffer(tree, np.uint8)})
    body = buffer.getvalue()
    forged = b"clrepro-state 1 " + hashlib.sha256(body).hexdigest().encode() + b"\n" + body
    with pytest.raises(DataError, match="the checkpoint is corrupt"):
        decode_state(forged, "x.state")


def record() -> RunRecord:
    return RunRecord("p", "quick", "s", "m", 0, ["main.py"], {"lr": 0.1}, "ab", {"RA": 0.25}, {"R": [[0.5]]})


def test_a_changed_digit_in_a_record_is_noticed_and_an_old_record_is_read(tmp_path: Path) -> None:
    path = tmp_path / "seed0.json"
    text = record().to_json()
    path.write_text(text)
    assert read_record(path) == record()
    path.write_text(text.replace("0.25", "0.75"))
    with pytest.raises(DataError, match=r"seed0\.json: damaged"):
        read_record(path)
    body = json.loads(text)
    del body["sha256"]
    path.write_text(json.dumps(body))
    assert read_record(path) == record()


def test_a_pipe_in_the_place_of_a_record_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "seed0.json")
    assert load_many(tmp_path)[1] == [
        f"{tmp_path}/seed0.json: is a pipe, socket or device, expected a regular file; "
        "so it is no run record, remove it and run again"
    ]


def test_a_pipe_in_the_place_of_a_pickle_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.pkl")
    with pytest.raises(DataError, match=r"x\.pkl: is a pipe"):
        safe_pickle.load(tmp_path / "x.pkl")


def test_lists_in_claims_stand_for_so_many_and_no_more(tmp_path: Path) -> None:
    names = json.dumps([f"n{i}" for i in range(200)])
    (tmp_path / "claims.toml").write_text(
        'title = "t"\n[metrics]\nA = "a"\n[[ordering]]\nprofile = "p"\nclaim = "c"\nmetric = "A"\n'
        f"setting = {names}\n"
        f"better = {names}\nworse = {names}\nslack_pct = 1\n"
    )
    with pytest.raises(DataError, match="more than 10000 claims"):
        load_claims(tmp_path / "claims.toml")
