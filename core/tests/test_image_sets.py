"""SVHN, notMNIST, mini-ImageNet and CUB: readers on small files of the official forms, and on damage."""

import io
import pickle
import tarfile

import numpy as np
import pytest

from clrepro import datasets
from clrepro.datasets import cub, mini_imagenet
from clrepro.errors import DataError

Image = pytest.importorskip("PIL.Image")
savemat = pytest.importorskip("scipy.io").savemat


def encoded(pixels, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def packed(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def write_svhn(folder, labels=(1, 10, 3)):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (32, 32, 3, len(labels)), dtype=np.uint8)
    for part in ("train", "test"):
        savemat(folder / f"{part}_32x32.mat", {"X": x, "y": np.array(labels)[:, None]})
    return x


def test_svhn_puts_images_first_and_calls_ten_zero(tmp_path):
    x = write_svhn(tmp_path / "svhn")
    found = datasets.load("svhn", tmp_path)
    assert found.y_train.tolist() == [1, 0, 3]
    assert np.array_equal(found.x_train[2], x[..., 2])
    assert sorted(found.sha256) == ["test_32x32.mat", "train_32x32.mat"]


@pytest.mark.parametrize("labels", [(0, 1, 2), (1, 2, 11)])
def test_svhn_refuses_labels_it_cannot_have(tmp_path, labels):
    write_svhn(tmp_path, labels)
    with pytest.raises(DataError, match="expected 1 to 10"):
        datasets.load("svhn", tmp_path)


def test_svhn_refuses_what_is_no_mat_file(tmp_path):
    write_svhn(tmp_path)
    (tmp_path / "train_32x32.mat").write_bytes(b"no such thing" * 20)
    with pytest.raises(DataError, match=r"train_32x32\.mat"):
        datasets.load("svhn", tmp_path)


def letters(n=10):
    """notMNIST's files: image k of letter L has the value 20 L + k."""
    return {
        f"notMNIST_small/{name}/{k}.png": encoded(np.full((28, 28), 20 * number + k, np.uint8))
        for number, name in enumerate("ABCDEFGHIJ")
        for k in range(n)
    }


def test_notmnist_packed_and_unpacked_are_the_same_and_divided_once(tmp_path):
    files = {**letters(), "notMNIST_small/A/broken.png": b"not an image", "notMNIST_small/readme": b""}
    packed(tmp_path / "notMNIST_small.tar.gz", files)
    for name, data in files.items():
        place = tmp_path / "unpacked" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    one, two = datasets.load("notmnist", tmp_path), datasets.load("notmnist", tmp_path / "unpacked")
    assert np.array_equal(one.x_train, two.x_train)
    assert (len(one.y_train), len(one.y_test)) == (90, 10)
    values = np.concatenate([one.x_train[:, 0, 0], one.x_test[:, 0, 0]])
    assert np.array_equal(values // 20, np.concatenate([one.y_train, one.y_test]))
    assert len(set(values.tolist())) == 100  # nobody is in both parts


def test_notmnist_refuses_a_missing_letter_and_much_damage(tmp_path):
    packed(tmp_path / "notMNIST_small.tar.gz", {k: v for k, v in letters(1).items() if "/C/" not in k})
    with pytest.raises(DataError, match="no images of C"):
        datasets.load("notmnist", tmp_path)
    packed(tmp_path / "notMNIST_small.tar.gz", {k: v[:40] for k, v in letters(1).items()})
    with pytest.raises(DataError, match="6 or more damaged images"):
        datasets.load("notmnist", tmp_path)


@pytest.fixture
def few(monkeypatch):
    """mini-ImageNet with 5 images per class, 4 to train on, 4 × 4 pixels."""
    for name, value in (("PER_CLASS", 5), ("TRAIN_PER_CLASS", 4), ("SIDE", 4)):
        monkeypatch.setattr(mini_imagenet, name, value)


def write_mini(folder, spoil=None):
    for part, n in mini_imagenet.PARTS.items():
        start = {"train": 0, "test": 64, "val": 84}[part]
        images = np.repeat(np.arange(start, start + n, dtype=np.uint8), 5)[:, None, None, None]
        table = {
            "image_data": np.broadcast_to(images, (5 * n, 4, 4, 3)).copy(),
            "class_dict": {f"n{k}": list(range(5 * k, 5 * k + 5)) for k in reversed(range(n))},
        }
        if spoil:
            spoil(table)
        (folder / f"mini-imagenet-cache-{part}.pkl").write_bytes(pickle.dumps(table))


@pytest.mark.usefixtures("few")
def test_mini_imagenet_numbers_classes_file_by_file(tmp_path):
    write_mini(tmp_path)
    found = datasets.load("mini_imagenet", tmp_path)
    assert (len(found.y_train), len(found.y_test)) == (400, 100)
    assert np.array_equal(found.x_train[:, 0, 0, 0], found.y_train)
    assert np.array_equal(found.x_test[:, 0, 0, 0], found.y_test)


class Hostile:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.update(image_data=Hostile()), "builtins.print"),
        (lambda t: t["class_dict"].popitem(), "class_dict"),
        (lambda t: t["class_dict"].update(n0=[0, 1, 2, 3, 10**6]), "not there"),
        (lambda t: t["class_dict"].update(n0=[0, 1]), "has not 5 images"),
        (lambda t: t.update(image_data=t["image_data"].astype(float)), "image_data"),
    ],
)
def test_mini_imagenet_refuses(tmp_path, spoil, message, capsys):
    write_mini(tmp_path, spoil)
    with pytest.raises(DataError, match=message):
        datasets.load("mini_imagenet", tmp_path)
    assert "run" not in capsys.readouterr().out


def birds(**changes):
    files = {
        "images.txt": b"1 001.Owl/a.jpg\n2 002.Auk/b.jpg\n3 001.Owl/c.jpg\n",
        "image_class_labels.txt": b"1 1\n2 2\n3 1\n",
        "train_test_split.txt": b"1 1\n2 1\n3 0\n",
    }
    for k, name in enumerate(("001.Owl/a", "002.Auk/b", "001.Owl/c"), 1):
        pixels = np.full((30, 40 + k, 3), 50 * k, np.uint8)
        files[f"images/{name}.jpg"] = encoded(pixels, "JPEG")
    return {f"CUB_200_2011/{name}": data for name, data in {**files, **changes}.items() if data is not None}


def test_cub_resizes_and_divides_as_its_lists_say(tmp_path):
    packed(tmp_path / "CUB_200_2011.tgz", birds())
    found = datasets.load("cub", tmp_path)
    assert found.x_train.shape == (2, cub.SIDE, cub.SIDE, 3)
    assert found.y_train.tolist() == [0, 1]
    assert found.y_test.tolist() == [0]
    assert abs(found.x_train[1].astype(int) - 100).max() <= 2
    assert abs(found.x_test[0].astype(int) - 150).max() <= 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images.txt": None}, r"without images\.txt"),
        ({"images/001.Owl/c.jpg": None}, r"001\.Owl/c\.jpg"),
        ({"images/001.Owl/c.jpg": b"\xff\xd8\xff no"}, "not a readable image"),
        ({"train_test_split.txt": b"1 1\n2 1\n"}, "do not name the same images"),
        ({"image_class_labels.txt": b"1 1\n2 201\n3 1\n"}, "labels outside"),
        ({"image_class_labels.txt": b"1 1\n2 x\n3 1\n"}, "is no number"),
    ],
)
def test_cub_refuses(tmp_path, changes, message):
    packed(tmp_path / "CUB_200_2011.tgz", birds(**changes))
    with pytest.raises(DataError, match=message):
        datasets.load("cub", tmp_path)


@pytest.mark.parametrize("name", ["svhn", "notmnist", "mini_imagenet", "cub"])
def test_without_files_the_message_names_them(tmp_path, name):
    with pytest.raises(DataError, match=str(tmp_path)) as caught:
        datasets.load(name, tmp_path)
    assert all(file in str(caught.value) for file in datasets.CATALOG[name].files.values())
