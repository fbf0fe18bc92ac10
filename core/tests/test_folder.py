"""Images in folders: a zip file and its unpacked copy give the same; what is wrong is named."""

import io
import sys
import zipfile

import pytest

from clrepro.datasets import folder
from clrepro.datasets.folder import read_folder
from clrepro.errors import DataError

pillow = pytest.importorskip("PIL.Image")


def png(colour, size=(4, 4)):
    buffer = io.BytesIO()
    pillow.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


FILES = {
    "set/train/dog/0001.png": png((9, 0, 0)), "set/train/cat/0002.png": png((2, 0, 0)),
    "set/train/cat/0001.png": png((1, 0, 0)), "set/test/cat/0001.png": png((3, 0, 0)),
    "set/test/dog/0001.png": png((4, 0, 0)), "set/readme.txt": b"no image",
}  # fmt: skip


def write(tmp_path, files, packed):
    if packed:
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return tmp_path / "set.zip"
    for name, data in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "set"


@pytest.mark.parametrize("packed", [False, True])
def test_images_come_class_by_class_and_by_name(packed, tmp_path):
    (x, y), (x_test, y_test) = read_folder(write(tmp_path, FILES, packed), 4)
    assert x.shape == (3, 4, 4, 3)
    assert x[:, 0, 0, 0].tolist() == [1, 2, 9]
    assert y.tolist() == [0, 0, 1]
    assert (x_test[:, 0, 0, 0].tolist(), y_test.tolist()) == ([3, 4], [0, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"set/train/dog/0001.png": png((0, 0, 0), (5, 4))}, r"\(5, 4\) pixels; expected \(4, 4\)"),
        ({"set/train/dog/0001.png": b"no image"}, "dog/0001.png: not a readable image"),
        ({"set/train/dog/0001.png": FILES["set/train/dog/0001.png"][:40]}, "not a readable image"),
        ({"set/test/bird/0001.png": png((0, 0, 0))}, "the same classes"),
    ],
)
def test_what_is_wrong_is_named(change, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read_folder(write(tmp_path, {**FILES, **change}, packed=True), 4)


@pytest.mark.parametrize("packed", [False, True])
def test_images_beyond_any_size_are_not_read(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "MAX_IMAGE", 20)
    with pytest.raises(DataError, match="bytes"):
        read_folder(write(tmp_path, FILES, packed), 4)


def test_damage_inside_a_zip_file_is_named(tmp_path):
    path = write(tmp_path, FILES, packed=True)
    whole = path.read_bytes()
    at = whole.index(b"IHDR")
    path.write_bytes(whole[:at] + b"XXXX" + whole[at + 4 :])
    with pytest.raises(DataError, match=r"not a readable zip file .*CRC"):
        read_folder(path, 4)
    encrypted = bytearray(whole)
    for start in (whole.index(b"PK\x03\x04") + 6, whole.index(b"PK\x01\x02") + 8):
        encrypted[start] |= 1
    path.write_bytes(encrypted)
    with pytest.raises(DataError, match="not a readable zip file"):
        read_folder(path, 4)


def test_without_pillow_the_cure_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match="pip install pillow"):
        read_folder(tmp_path, 4)


def test_empty_and_broken_archives(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="not a readable zip file"):
        read_folder(tmp_path / "x.zip", 4)
    with pytest.raises(DataError, match=r"expected train/CLASS/NAME\.jpg"):
        read_folder(tmp_path, 4)
