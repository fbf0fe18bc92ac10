"""Where data sets are looked for, what is checked, and what a user is told."""

import dataclasses
import gzip
import importlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from clrepro import datasets
from clrepro.datasets import catalog, quick
from clrepro.errors import DataError, UsageError

# The package exports a function of the same name.
locate = importlib.import_module("clrepro.datasets.locate")
IDX = catalog.CATALOG["mnist"].files


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


def tiny(folder: Path, shade=1, n_labels=3):
    """Four idx files, unpacked."""
    folder.mkdir(parents=True)
    for role, name in IDX.items():
        array = np.full((3, 28, 28), shade) if role.startswith("x") else np.arange(n_labels)
        (folder / name.removesuffix(".gz")).write_bytes(idx(array))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No data of this machine is found."""
    monkeypatch.delenv("CL_REPRO_DATA", raising=False)
    monkeypatch.setattr(locate, "cache_folder", lambda: tmp_path / "cache")


@pytest.fixture
def any_content(monkeypatch):
    """Unpacked files of MNIST are taken whatever is in them."""
    free = dataclasses.replace(catalog.CATALOG["mnist"], contents={})
    monkeypatch.setitem(catalog.CATALOG, "mnist", free)


@pytest.mark.usefixtures("any_content")
def test_folder_named_then_variable_then_cache(tmp_path, monkeypatch):
    tiny(tmp_path / "cache" / "mnist", shade=3)
    assert datasets.load("mnist").x_train[0, 0, 0] == 3
    tiny(tmp_path / "variable" / "mnist", shade=2)
    monkeypatch.setenv("CL_REPRO_DATA", str(tmp_path / "variable"))
    assert datasets.load("mnist").x_train[0, 0, 0] == 2
    tiny(tmp_path / "named", shade=1)  # the files may lie in the folder itself
    found = datasets.load("mnist", tmp_path / "named")
    assert found.x_train[0, 0, 0] == 1
    assert found.source == str(tmp_path / "named")
    assert sorted(found.sha256) == sorted(name.removesuffix(".gz") for name in IDX.values())


def test_a_named_folder_is_the_only_place_looked_at(tmp_path):
    tiny(tmp_path / "cache" / "mnist")
    with pytest.raises(DataError) as caught:
        datasets.load("mnist", tmp_path / "empty")
    assert str(tmp_path / "empty" / "mnist") in str(caught.value)
    assert "cache" not in str(caught.value)


def test_every_place_looked_at_is_named_with_a_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv("CL_REPRO_DATA", str(tmp_path / "variable"))
    with pytest.raises(DataError) as caught:
        datasets.load("fashion_mnist")
    text = str(caught.value)
    hint = "cl-repro data get fashion_mnist"
    for part in ("variable/fashion_mnist", "cache/fashion_mnist", "CL_REPRO_DATA", hint):
        assert part in text
    with pytest.raises(
        DataError, match=r"cifar-10-python\.tar\.gz or .* or cifar-10-batches-py\); looked in"
    ):
        datasets.load("cifar10")
    with pytest.raises(DataError, match=r"Put them there, or set CL_REPRO_DATA$"):
        datasets.load("mini_imagenet")


def test_an_incomplete_set_is_not_taken(tmp_path):
    tiny(tmp_path / "a" / "mnist")
    (tmp_path / "a" / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="no complete set"):
        datasets.load("mnist", tmp_path / "a")


def test_a_file_of_official_name_must_have_the_official_checksum(tmp_path):
    tiny(tmp_path / "mnist")
    for path in list((tmp_path / "mnist").iterdir()):
        (tmp_path / "mnist" / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    with pytest.raises(DataError, match="but the official file has 440fcabf73cc546f"):
        datasets.load("mnist", tmp_path)


def test_an_unpacked_file_must_have_the_official_content(tmp_path):
    tiny(tmp_path / "mnist")
    with pytest.raises(DataError, match=r"images-idx3-ubyte: .* official unpacked file has ba891046e6505d7a"):
        datasets.load("mnist", tmp_path)
    tiny(tmp_path / "dots", shade=2)
    for path in list((tmp_path / "dots").iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    with pytest.raises(DataError, match=r"images\.idx3-ubyte: .*unpacked file has"):
        datasets.load("mnist", tmp_path / "dots")


@pytest.mark.usefixtures("any_content")
def test_a_label_of_no_class_is_refused(tmp_path):
    tiny(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(idx(np.array([0, 77, 2])))
    with pytest.raises(DataError, match="mnist: labels from 0 to 77; expected 0 to 9"):
        datasets.load("mnist", tmp_path)


def test_labels_of_every_set_are_looked_at(tmp_path, monkeypatch):
    """Whatever reader made them: each set is read by a stand-in that has one label too many."""
    monkeypatch.setattr(datasets, "locate", lambda *_: {"archive": tmp_path})
    for name, entry in catalog.CATALOG.items():
        labels = np.array([0, entry.n_classes])
        x = np.zeros((2, 8, 8), np.uint8)
        monkeypatch.setattr(datasets, "_read", lambda *_, x=x, y=labels: (x, y, x, y))
        with pytest.raises(DataError, match=f"{name}: labels from 0 to {entry.n_classes}; expected"):
            datasets.load(name)


@pytest.mark.parametrize("kind", ["pipe", "endless"])
def test_no_waiting_for_what_is_no_file(kind, tmp_path):
    tiny(tmp_path / "mnist")
    path = tmp_path / "mnist" / "train-images-idx3-ubyte"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(DataError, match="train-images-idx3-ubyte: is a pipe, socket or device"):
        datasets.load("mnist", tmp_path)


@pytest.mark.usefixtures("any_content")
def test_images_and_labels_must_belong_together(tmp_path):
    tiny(tmp_path / "mnist", n_labels=2)
    with pytest.raises(DataError, match=r"images \(3, 28, 28\) and labels \(2,\) do not belong together"):
        datasets.load("mnist", tmp_path)


def test_unknown_names_are_a_usage_error_that_lists_the_known():
    with pytest.raises(UsageError, match="one of mnist_quick, digits, mnist, fashion_mnist, cifar10"):
        datasets.load("imagenet")


def test_the_embedded_digits_are_what_their_script_drew():
    found = datasets.load("mnist_quick")
    assert found.x_train.shape == (10_000, 28, 28)
    assert np.bincount(found.y_train).tolist() == [1000] * 10
    assert np.bincount(found.y_test).tolist() == [200] * 10
    assert found.sha256 == {quick.FILE.name: quick.SHA256}
    assert quick.FILE.stat().st_size < 3e6


def test_damaged_embedded_digits_are_noticed(tmp_path, monkeypatch):
    copy = tmp_path / quick.FILE.name
    shutil.copy(quick.FILE, copy)
    monkeypatch.setattr(quick, "FILE", copy)
    data = bytearray(copy.read_bytes())
    data[1000] ^= 1
    copy.write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        datasets.load("mnist_quick")
    copy.unlink()
    with pytest.raises(DataError, match="install cl-repro again"):
        datasets.load("mnist_quick")


def test_nothing_is_fetched_unasked_and_every_mirror_is_tried_when_asked(tmp_path, monkeypatch):
    pooch = pytest.importorskip("pooch")
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append((url, known_hash))
        if "ossci" in url:
            raise OSError("no route\nto host")
        raise ValueError("wrong hash")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(DataError, match="no complete set"):
        datasets.load("mnist")
    assert not asked
    with pytest.raises(DataError, match=r"could not be fetched .*no route to host; .*wrong hash") as caught:
        datasets.load("mnist", download=True)
    assert "\n" not in str(caught.value)
    assert len(asked) == 2
    assert {known for _, known in asked} == {catalog.CATALOG["mnist"].sha256[IDX["x_train"]]}
    with pytest.raises(DataError, match="no publisher offers this"):
        datasets.load("mini_imagenet", download=True)


def test_every_entry_states_licence_files_and_checksums_that_look_right():
    for entry in catalog.CATALOG.values():
        assert entry.licence
        assert not entry.sha256 or set(entry.sha256) == set(entry.files.values())
        assert entry.sha256 or not entry.mirrors, "nothing is fetched that cannot be verified"
        assert all(len(digest) == 64 for digest in entry.sha256.values())
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in entry.mirrors)


OFFICIAL = os.environ.get("CL_REPRO_DATA", "")


def unpack(name, folder, spelling="-idx"):
    """The official files of a set, unpacked."""
    folder.mkdir()
    paths = locate.locate(catalog.CATALOG[name], Path(OFFICIAL))
    for path in paths.values():
        target = folder / path.name.removesuffix(".gz").replace("-idx", spelling)
        target.write_bytes(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())


@pytest.mark.skipif(not OFFICIAL, reason="needs the official files")
@pytest.mark.parametrize(("name", "other"), [("mnist", "fashion_mnist"), ("fashion_mnist", "mnist")])
def test_unpacked_files_are_of_the_set_that_was_asked_for(name, other, tmp_path):
    unpack(name, tmp_path / "a", ".idx")
    found = datasets.load(name, tmp_path / "a")
    np.testing.assert_array_equal(found.y_train[:3], datasets.load(name, Path(OFFICIAL)).y_train[:3])
    with pytest.raises(DataError, match=f"not {other} at all"):
        datasets.load(other, tmp_path / "a")
    path = tmp_path / "a" / "t10k-labels.idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x4d")
    with pytest.raises(DataError, match=r"t10k-labels\.idx1-ubyte: sha256"):
        datasets.load(name, tmp_path / "a")


@pytest.mark.skipif(not OFFICIAL, reason="needs the official files")
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_official_files_are_read(name):
    found = datasets.load(name, Path(OFFICIAL))
    assert (found.x_train.shape, found.x_test.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert set(found.y_train) == set(range(10))
    if name == "mnist":
        assert found.y_train[:5].tolist() == [5, 0, 4, 1, 9]
        assert int(found.x_train[0].sum()) == 27525
