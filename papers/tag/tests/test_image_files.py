"""Split CIFAR-100 and CUB from small files of the official forms, through the whole program."""

import csv
import io
import tarfile

import numpy as np
import pytest

from clrepro.datasets import cub
from tag_repro import image_streams
from tag_repro.streams import build
from tag_repro.tag import cli as tag_cli
from tag_repro.tag.settings import TagSettings

Image = pytest.importorskip("PIL.Image")


def write_cifar100(folder, train, test):
    """The binary release with `train` and `test` images of every class, class by class from 99 down."""
    home = folder / "cifar-100-binary"
    home.mkdir()
    rng = np.random.default_rng(0)
    for name, each in (("train.bin", train), ("test.bin", test)):
        fine = np.repeat(np.arange(100, dtype=np.uint8)[::-1], each)
        pixels = rng.integers(0, 256, (len(fine), 3072), dtype=np.uint8)
        pixels[:, 0] = fine  # an image knows its class
        (home / name).write_bytes(np.column_stack([fine // 5, fine, pixels]).tobytes())


def write_birds(folder):
    """200 species, one photograph to train on and one to test on."""
    lists = {"images.txt": "", "image_class_labels.txt": "", "train_test_split.txt": ""}
    with tarfile.open(folder / "CUB_200_2011.tgz", "w:gz") as archive:

        def add(name, data):
            info = tarfile.TarInfo(f"CUB_200_2011/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))

        for key in range(400):
            name = f"{key // 2 + 1:03}.Bird/{key}.jpg"
            lists["images.txt"] += f"{key + 1} {name}\n"
            lists["image_class_labels.txt"] += f"{key + 1} {key // 2 + 1}\n"
            lists["train_test_split.txt"] += f"{key + 1} {key % 2}\n"
            buffer = io.BytesIO()
            Image.new("RGB", (20, 16), (key % 256, 0, 255)).save(buffer, "JPEG")
            add(f"images/{name}", buffer.getvalue())
        for name, text in lists.items():
            add(name, text.encode())


def final_row(folder):
    """The last row of matrix_1.csv."""
    (path,) = folder.glob("*/matrix_1.csv")
    return [float(value) for value in list(csv.reader(path.read_text().splitlines()))[-1]]


def test_cifar_100_comes_in_twenty_tasks_of_its_five_next_classes(tmp_path):
    write_cifar100(tmp_path, train=500, test=100)
    settings = TagSettings(dataset="cifar100", tasks=20, images="cifar100")
    found = build(settings, np.random.default_rng(0), tmp_path, multi_head=True)
    assert (found.shape, found.n_outputs) == ((3, 32, 32), 100)
    for number in (0, 7, 19):
        task = found.stream[number]
        assert (len(task.y_train), len(task.y_test)) == (2500, 500)
        assert np.array_equal(task.x_train[:, 0], task.y_train)
        assert set(task.y_test) == set(range(5 * number, 5 * number + 5))


def test_tag_learns_cifar_100_from_a_users_folder(tmp_path):
    write_cifar100(tmp_path, train=2, test=1)
    words = ["--dataset", "cifar100", "--tasks", "20", "--data-dir", str(tmp_path), "--opt", "tag-agem"]
    words += [
        "--tag-opt",
        "rms",
        "--lr",
        "0.00025",
        "--runs",
        "1",
        "--dropout",
        "0",
        "--out",
        str(tmp_path / "o"),
    ]
    assert tag_cli.main(words) == 0
    assert len(final_row(tmp_path / "o")) == 20


def test_birds_from_their_archive(tmp_path, monkeypatch):
    write_birds(tmp_path)
    monkeypatch.setattr(cub, "SIDE", 32)  # a real one has 224
    monkeypatch.setitem(image_streams.SIDES, "cub", 32)
    words = [
        "--dataset",
        "cub",
        "--tasks",
        "20",
        "--data-dir",
        str(tmp_path),
        "--opt",
        "rms",
        "--lr",
        "0.0001",
    ]
    words += ["--runs", "1", "--dropout", "0", "--cub-original-scale", "--out", str(tmp_path / "o")]
    assert tag_cli.main(words) == 0
    assert len(final_row(tmp_path / "o")) == 20


def test_mini_imagenet_from_jpeg_files(tmp_path):
    rng = np.random.default_rng(0)
    for part, n in (("train", 2), ("test", 1)):
        for label in range(100):
            folder = tmp_path / "mini_imagenet_jpeg" / part / f"n{label:08d}"
            folder.mkdir(parents=True)
            for k in range(n):
                shade = np.full((84, 84, 3), 2 * label, np.uint8) + rng.integers(0, 2, 3, np.uint8)
                Image.fromarray(shade.astype(np.uint8)).save(folder / f"{k}.jpg")
    settings = TagSettings(dataset="mini_imagenet_jpeg", tasks=20, images="mini_imagenet_jpeg")
    found = build(settings, np.random.default_rng(0), tmp_path, multi_head=True)
    assert (found.shape, found.n_outputs, found.scale) == ((3, 84, 84), 100, "symmetric")
    task = found.stream[3]
    assert (len(task.y_train), len(task.y_test), set(task.y_test)) == (10, 5, set(range(15, 20)))
    assert abs(int(task.x_train[0].mean()) - 2 * int(task.y_train[0])) <= 3
