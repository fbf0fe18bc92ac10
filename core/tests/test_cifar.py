"""CIFAR readers: both releases, packed and unpacked, give the same images; damage and pickles are refused."""

import dataclasses
import io
import pickle
import tarfile
from collections.abc import Callable

import numpy as np
import pytest

from clrepro import datasets
from clrepro.datasets import catalog, cifar
from clrepro.errors import DataError

N = 4  # images per file


def images(seed, n=N):
    return np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3)).astype(np.uint8)


def planes(x):
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


def binary(seed, coarse=False, n_classes=10):
    y = np.arange(N) * 7 % n_classes
    columns = [np.zeros((N, 1), np.uint8)] * coarse + [y[:, None].astype(np.uint8), planes(images(seed))]
    return np.concatenate(columns, axis=1).tobytes()


def python(seed, key="labels", n_classes=10, **more):
    y = (np.arange(N) * 7 % n_classes).tolist()
    return pickle.dumps({"data": planes(images(seed)), key: y, "filenames": ["a.png"] * N, **more}, 2)


FORMS: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "cifar-10-batches-bin": ("cifar10", binary),
    "cifar-10-batches-py": ("cifar10", python),
    "cifar-100-binary": ("cifar100", lambda seed: binary(seed, coarse=True, n_classes=100)),
    "cifar-100-python": ("cifar100", lambda seed: python(seed, "fine_labels", 100)),
}


def write(folder, form):
    """An unpacked release whose k-th file has the images of seed k."""
    name, make = FORMS[form]
    release = next(r for r in cifar.RELEASES[name] if r.folder == form)
    (folder / form).mkdir(parents=True)
    for seed, file in enumerate((*release.train, release.test)):
        (folder / form / file).write_bytes(make(seed))
    return name, len(release.train)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_images(form, packed, tmp_path, monkeypatch):
    name, n_files = write(tmp_path / "unpacked", form)
    # Our small archives have the official names but not the official checksums.
    monkeypatch.setitem(catalog.CATALOG, name, dataclasses.replace(catalog.CATALOG[name], sha256={}))
    if packed:
        official = "cifar-10-" if name == "cifar10" else "cifar-100-"
        path = tmp_path / name / f"{official}{'python' if 'py' in form else 'binary'}.tar.gz"
        path.parent.mkdir()
        with tarfile.open(path, "w:gz") as archive:
            archive.add(tmp_path / "unpacked" / form, form)
    else:
        (tmp_path / "unpacked").rename(tmp_path / name)
    found = datasets.load(name, tmp_path)
    np.testing.assert_array_equal(found.x_train, np.concatenate([images(seed) for seed in range(n_files)]))
    np.testing.assert_array_equal(found.x_test, images(n_files))
    assert found.y_test.tolist() == ([0, 7, 4, 1] if name == "cifar10" else [0, 7, 14, 21])
    assert found.y_train.dtype == np.int64
    assert len(next(iter(found.sha256.values()))) == 64


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes are no whole number of records of 3073"),
        (binary(0)[:-1], "no whole number of records"),
        (b"\x0a" + binary(0)[1:], "label 10; expected 0 to 9"),
    ],
)
def test_damaged_binary_files_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        cifar.binary_batch(data, "x", 10)


def test_both_labels_of_cifar100_must_be_in_range():
    data = bytearray(binary(0, coarse=True, n_classes=100))
    data[0] = 20
    with pytest.raises(DataError, match="coarse label 20; expected 0 to 19"):
        cifar.binary_batch(bytes(data), "x", 100, 2)
    data[:2] = (19, 100)
    with pytest.raises(DataError, match="label 100; expected 0 to 99"):
        cifar.binary_batch(bytes(data), "x", 100, 2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps([1, 2], 2), "holds a list; expected a table"),
        (python(0)[:200], "not a complete pickle"),
        (pickle.dumps({"labels": [1]}, 2), "expected uint8"),
        (pickle.dumps({"data": [[1], [1, 2]], "labels": [1]}, 2), "no array called 'data'"),
        (pickle.dumps({"data": planes(images(0)), "labels": [2**70] * N}, 2), "label 1180591620717411303"),
        (pickle.dumps({"data": planes(images(0)), "labels": [-1] * N}, 2), "label -1; expected 0 to 9"),
        (python(0, "other"), "no list of numbers called 'labels'"),
        (pickle.dumps({"data": planes(images(0)), "labels": [1, 2]}, 2), "4 images but 2 labels"),
        (b"cposix\nsystem\n(S'touch mark'\ntR.", "asks for posix.system"),
    ],
)
def test_damaged_or_hostile_python_files_are_refused(data, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        cifar.python_batch(data, "x", 10)
    assert not list(tmp_path.iterdir())


def test_tables_saved_again_with_keys_as_bytes_are_read():
    table = pickle.loads(python(3))
    again = pickle.dumps({key.encode(): value for key, value in table.items()})
    np.testing.assert_array_equal(cifar.python_batch(again, "x", 10)[0], images(3))


def test_one_python_file_is_read_from_disk(tmp_path):
    (tmp_path / "train").write_bytes(python(4, "fine_labels", 100))
    x, y = cifar.read_python_batch(tmp_path / "train", 100, "fine_labels")
    np.testing.assert_array_equal(x, images(4))
    assert y.tolist() == [0, 7, 14, 21]
    with pytest.raises(DataError, match="none: cannot be read"):
        cifar.read_python_batch(tmp_path / "none")


def test_archives_that_lack_or_overstate_files_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        data = binary(0)
        member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    with pytest.raises(DataError, match=r"without data_batch_2.bin"):
        cifar.read_cifar(path, "cifar10")
    monkeypatch.setattr(cifar, "MAX_MEMBER", 10)
    with pytest.raises(DataError, match="claims 12292 bytes"):
        cifar.read_cifar(path, "cifar10")
    monkeypatch.setattr(cifar, "MAX_MEMBER", 1 << 28)
    monkeypatch.setattr(cifar, "MAX_ARCHIVE", 12_291)  # counts members that are passed over, too
    with pytest.raises(DataError, match="unpacks to more"):
        cifar.read_cifar(path, "cifar100")
    monkeypatch.setattr(cifar, "MAX_ARCHIVE", 1 << 29)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:3000] + bytes(50) + whole[3050:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="not a readable archive"):
            cifar.read_cifar(path, "cifar10")
    path.write_bytes(b"no archive")
    with pytest.raises(DataError, match="not a readable archive"):
        cifar.read_cifar(path, "cifar10")
    with pytest.raises(DataError, match="holds neither cifar-10-batches-bin or cifar-10-batches-py"):
        cifar.read_cifar(tmp_path, "cifar10")
