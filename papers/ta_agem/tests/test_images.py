"""Where images come from, in which layouts, and the grey of colour images."""

import dataclasses
import gzip
import importlib
import pickle

import numpy as np
import pytest

from clrepro import datasets
from clrepro.errors import DataError, UsageError
from ta_agem_repro.images import grey, load_images, read_env
from ta_agem_repro.loader import Batches, DatasetLoader, remember

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No data of this machine is found."""
    for name in (
        "CL_REPRO_DATA",
        "DATASET_LOCATION_MNIST",
        "DATASET_LOCATION_FASHION_MNIST",
        "DATASET_LOCATION_CIFAR10",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(
        importlib.import_module("clrepro.datasets.locate"), "cache_folder", lambda: tmp_path / "c"
    )
    monkeypatch.chdir(tmp_path)


def write(folder, shade=1, place="flat", n=3):
    for name in FILES:
        array = np.full((n, 28, 28), shade) if "images" in name else np.arange(n)
        data = (
            bytes([0, 0, 8, array.ndim])
            + np.array(array.shape, ">u4").tobytes()
            + array.astype(np.uint8).tobytes()
        )
        shown = name.replace("-idx", ".idx") if "dotted" in place else name
        path = folder / shown / shown if "nested" in place else folder / shown
        if "gz" in place:
            path, data = path.with_name(path.name + ".gz"), gzip.compress(data)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.fixture
def any_content(monkeypatch):
    """Files are taken whatever is in them, as only the official ones would be."""
    for name in ("mnist", "fashion_mnist"):
        free = dataclasses.replace(datasets.CATALOG[name], sha256={}, contents={})
        monkeypatch.setitem(datasets.CATALOG, name, free)


@pytest.mark.parametrize("place", ["flat", "nested gz", "dotted"])
def test_files_of_other_content_are_not_the_set_they_are_called(place, tmp_path):
    write(tmp_path / "FASHION_MNIST", place=place)
    with pytest.raises(DataError, match="not fashion_mnist at all"):
        load_images("fashion_mnist", tmp_path)


@pytest.mark.usefixtures("any_content")
def test_a_label_of_no_class_is_refused(tmp_path):
    write(tmp_path / "MNIST", n=11)
    with pytest.raises(DataError, match="mnist: labels from 0 to 10; expected 0 to 9"):
        load_images("mnist", tmp_path)


@pytest.mark.usefixtures("any_content")
@pytest.mark.parametrize("place", ["flat", "nested", "flat gz", "nested gz", "dotted", "nested dotted"])
def test_every_layout_is_found(place, tmp_path):
    write(tmp_path / "MNIST", place=place)
    images = load_images("mnist", tmp_path)
    assert images.x_train.shape == (3, 28, 28)
    assert images.y_test.tolist() == [0, 1, 2]
    assert all(len(digest) == 64 for digest in images.sha256.values())


@pytest.mark.usefixtures("any_content")
def test_upper_case_folder_then_lower_then_an_error_naming_both(tmp_path):
    write(tmp_path / "mnist", shade=2)
    assert load_images("mnist", tmp_path).x_train[0, 0, 0] == 2
    write(tmp_path / "MNIST", shade=1)
    assert load_images("mnist", tmp_path).x_train[0, 0, 0] == 1
    with pytest.raises(DataError, match=r"neither .*FASHION_MNIST nor .*fashion_mnist is there"):
        load_images("fashion_mnist", tmp_path)


@pytest.mark.usefixtures("any_content")
def test_variables_of_process_and_file(tmp_path, monkeypatch):
    write(tmp_path / "a", shade=5)
    (tmp_path / ".env").write_text(
        f"# a comment = 1\nexport DATASET_LOCATION_MNIST_FASHION='{tmp_path / 'a'}'\n"
    )
    assert load_images("fashion_mnist").x_train[0, 0, 0] == 5
    write(tmp_path / "b", shade=6)
    monkeypatch.setenv("DATASET_LOCATION_FASHION_MNIST", str(tmp_path / "b"))
    assert load_images("fashion_mnist").x_train[0, 0, 0] == 6
    monkeypatch.setenv("DATASET_LOCATION_MNIST", str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"DATASET_LOCATION_MNIST=.*no such folder"):
        load_images("mnist")


def test_nothing_anywhere_names_places_and_the_download():
    with pytest.raises(DataError, match=r"looked in .*python load_dataset\.py --dataset mnist"):
        load_images("mnist")


@pytest.mark.usefixtures("any_content")
def test_wrong_files_are_refused(tmp_path):
    write(tmp_path / "MNIST")
    path = tmp_path / "MNIST" / FILES[1]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError, match="asks for 3"):
        load_images("mnist", tmp_path)
    (tmp_path / "MNIST" / FILES[0]).write_bytes(whole)
    path.write_bytes(whole)
    with pytest.raises(DataError, match="do not belong together"):
        load_images("mnist", tmp_path)
    path.unlink()
    with pytest.raises(DataError, match="no train-labels-idx1-ubyte, flat, in a folder"):
        load_images("mnist", tmp_path)


def test_cifar_batches_come_in_grey_and_hostile_ones_do_not_run(tmp_path):
    folder = tmp_path / "CIFAR10" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        table = {"data": rng.integers(0, 256, (4, 3072)).astype(np.uint8), "labels": [0, 9, 3, 4]}
        (folder / name).write_bytes(pickle.dumps(table, 2))
    images = load_images("cifar10", tmp_path)
    assert images.x_train.shape == (20, 32, 32)
    assert images.y_test.tolist() == [0, 9, 3, 4]
    (folder / "test_batch").write_bytes(b"cos\nsystem\n(S'touch mark'\ntR.")
    with pytest.raises(DataError, match=r"asks for os\.system"):
        load_images("cifar10", tmp_path)
    assert not (tmp_path / "mark").exists()


def test_grey_is_the_imaging_librarys():
    image = pytest.importorskip("PIL.Image")
    x = np.random.default_rng(1).integers(0, 256, (100, 32, 32, 3)).astype(np.uint8)
    theirs = np.stack([np.asarray(image.fromarray(one).convert("L")) for one in x])
    np.testing.assert_array_equal(grey(x), theirs)


def test_digits_are_all_there():
    pytest.importorskip("sklearn")
    images = load_images("digits")
    assert (len(images.y_train), len(images.y_test)) == (1400, 397)
    assert images.x_train.max() == 255
    assert len(next(iter(images.sha256.values()))) == 64


def test_loaders_give_the_tasks_as_batches(tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    train, test = DatasetLoader("digits").prepare_domain_incremental_data("rotation", 2, 64)
    assert [len(train), len(train[0]), len(test[0])] == [2, 10, 4]
    x, y = next(iter(train[0]))
    assert (x.shape, y.dtype) == ((64, 64), torch.int64)
    assert 0 <= float(x.min()) <= float(x.max()) <= 1
    assert sum(len(labels) for _, labels in test[1]) == 199
    assert not torch.equal(next(iter(train[0]))[1], y)
    with pytest.raises(UsageError, match="one of permutation"):
        DatasetLoader("digits").prepare_domain_incremental_data("other", 2, 64)
    with pytest.raises(UsageError, match="one of mnist"):
        DatasetLoader("svhn")
    assert len(Batches(np.zeros((5, 2), np.uint8), np.zeros(5, np.int64), 2, None)) == 3


def test_folders_are_remembered_once(tmp_path):
    env = tmp_path / ".env"
    env.write_text("OTHER=1\nDATASET_LOCATION_MNIST=old\n")
    remember("DATASET_LOCATION_MNIST", tmp_path / "new", env)
    assert read_env(env) == {"OTHER": "1", "DATASET_LOCATION_MNIST": str(tmp_path / "new")}
