"""Task files: two layouts with one content, made whole or not at all, and refused when wrong (contract O11,
2.4, 2.5).
"""

import io
import tarfile

import numpy as np
import pytest
import torch

from clrepro.errors import DataError
from mer_repro import get_data
from mer_repro.data import LAZY_FORMAT, load_tasks


def test_lazy_and_dense_files_give_identical_tensors(task_files):
    lazy, dense = load_tasks(task_files / "lazy.pt"), load_tasks(task_files / "dense.pt")
    assert (
        (lazy.n_tasks, lazy.n_inputs, lazy.n_outputs)
        == (dense.n_tasks, dense.n_inputs, dense.n_outputs)
        == (3, 784, 10)
    )
    indices = np.array([5, 0, 199])
    for t in range(3):
        assert lazy.descriptor(t) == dense.descriptor(t)
        assert lazy.train_size(t) == dense.train_size(t) == 200
        for one, other in (
            (lazy.train_rows(t, indices), dense.train_rows(t, indices)),
            (lazy.train_labels(t, indices), dense.train_labels(t, indices)),
            (lazy.test_rows(t), dense.test_rows(t)),
            (lazy.test_labels(t), dense.test_labels(t)),
        ):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
    assert lazy.train_rows(0, indices).dtype == np.float32
    assert lazy.train_rows(0, indices).max() <= 1


def test_dense_file_has_the_originals_layout(task_files):
    train, test = torch.load(task_files / "dense.pt", weights_only=True)
    assert len(train) == len(test) == 3
    angle, x, y = train[1]
    assert 60 <= angle < 120
    assert x.shape == (200, 784)
    assert x.dtype == torch.float32
    assert y.dtype == torch.int64
    assert torch.equal(y, train[0][2])


def test_angles_ascend_one_per_section():
    angles, maps = get_data.task_maps("rotations", 20, seed=4)
    assert [int(angle // 9) for angle in angles] == list(range(20))
    assert maps.shape == (20, 784)
    assert get_data.task_maps("rotations", 20, seed=4)[0] == angles
    assert get_data.task_maps("rotations", 20, seed=5)[0] != angles


def test_permutations_keep_all_pixels_and_include_the_first_task():
    names, maps = get_data.task_maps("manypermutations", 5, seed=0)
    assert names == ["random permutation"] * 5
    assert (np.sort(maps, axis=1) == np.arange(784)).all()
    assert (maps[0] != np.arange(784)).any()
    torch.manual_seed(0)
    np.testing.assert_array_equal(maps[0], torch.randperm(784).numpy())


def test_get_data_makes_all_three_files_and_leaves_good_ones_alone(tmp_path, capsys):
    assert get_data.main(["all", "--source", "quick", "--out_dir", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "mnist_manypermutations.pt", "mnist_permutations.pt", "mnist_rotations.pt",
    ]  # fmt: skip
    tasks = load_tasks(tmp_path / "mnist_manypermutations.pt")
    assert (tasks.n_tasks, tasks.train_size(99)) == (100, 10_000)
    stamp = (tmp_path / "mnist_rotations.pt").stat().st_mtime_ns
    assert get_data.main(["rotations", "--source", "quick", "--out_dir", str(tmp_path)]) == 0
    assert "is there already" in capsys.readouterr().out
    assert (tmp_path / "mnist_rotations.pt").stat().st_mtime_ns == stamp


def test_get_data_replaces_a_half_written_file(tmp_path):
    (tmp_path / "mnist_rotations.pt").write_bytes(b"PK\x03\x04 cut off")
    assert get_data.main(["rotations", "--source", "quick", "--out_dir", str(tmp_path)]) == 0
    assert load_tasks(tmp_path / "mnist_rotations.pt").n_tasks == 20


def test_one_seed_gives_one_file(tmp_path):
    for name in ("a", "b"):
        get_data.main(["permutations", "--source", "quick", "--out_dir", str(tmp_path / name)])
    one, other = ((tmp_path / name / "mnist_permutations.pt").read_bytes() for name in ("a", "b"))
    assert one == other


def test_missing_official_files_name_every_place(tmp_path, capsys):
    assert (
        get_data.main(["rotations", "--source", "raw", "--raw", str(tmp_path), "--out_dir", str(tmp_path)])
        == 1
    )
    assert str(tmp_path / "mnist") in capsys.readouterr().err
    assert not list(tmp_path.glob("*.pt"))


def test_unknown_data_set_is_a_usage_error():
    with pytest.raises(SystemExit) as stop:
        get_data.main(["everything"])
    assert stop.value.code == 2


def lazy_content(**change):
    content = {
        "format": LAZY_FORMAT, "kind": "rotations", "source": "test", "descriptors": [0.0, 1.0],
        "maps": torch.arange(4).repeat(2, 1), "x_train": torch.zeros(5, 4, dtype=torch.uint8),
        "y_train": torch.arange(5), "x_test": torch.zeros(3, 4, dtype=torch.uint8), "y_test": torch.arange(3),
    }  # fmt: skip
    return content | change


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lazy_content(format="else"), "format 'else'"),
        (lazy_content(maps=torch.full((2, 4), 4)), "outside the image"),
        (lazy_content(maps=torch.arange(3).repeat(2, 1)), "number of pixels"),
        (lazy_content(descriptors=[0.0]), "descriptors"),
        (lazy_content(x_train=torch.zeros(5, 4)), "expected uint8"),
        (lazy_content(y_train=torch.arange(4)), "5 images but 4 labels"),
        (lazy_content(y_test=torch.tensor([-1, 0, 1])), "labels from -1"),
        (lazy_content(y_test="three"), "expected a tensor"),
        ([[], []], "0 training and 0 test"),
        ([1, 2], "expected [train tasks, test tasks]"),
        ([[[0.0, torch.zeros(2, 3)]], [[0.0, torch.zeros(2, 3)]]], "must be [descriptor, x, y]"),
        (
            [[[0.0, torch.zeros(2, 3), torch.zeros(2)]], [[0.0, torch.zeros(2, 3), torch.zeros(2)]]],
            "expected int64",
        ),
        (torch.zeros(3), "expected [train tasks, test tasks]"),
    ],
)
def test_files_with_wrong_content_are_refused_with_one_line(tmp_path, content, message):
    torch.save(content, tmp_path / "tasks.pt")
    with pytest.raises(DataError) as problem:
        load_tasks(tmp_path / "tasks.pt")
    assert message in str(problem.value)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("cut", [0, 1, 100, 0.5, 0.99])
def test_truncated_files_are_refused(task_files, tmp_path, cut):
    whole = (task_files / "lazy.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: int(cut if cut >= 1 else cut * len(whole))])
    with pytest.raises(DataError, match="not a readable task file"):
        load_tasks(tmp_path / "cut.pt")


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path):
    import pickle

    class Hostile:
        def __reduce__(self):
            return (print, ("this must never be printed",))

    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(DataError, match="not a readable task file"):
        load_tasks(tmp_path / "evil.pt")


def archive(path, name, content=b"x", kind=tarfile.REGTYPE):
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.size = kind, len(content)
        member.linkname = "/etc/passwd"
        tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    "name", ["../mnist_rotations.pt", "/tmp/mnist_rotations.pt", "a/../../mnist_rotations.pt"]
)
def test_archives_that_lead_outside_are_refused(tmp_path, name):
    archive(tmp_path / "a.tar.gz", name)
    with pytest.raises(DataError, match="outside the folder"):
        get_data.unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert not (tmp_path / "mnist_rotations.pt").exists()


def test_archives_with_links_are_refused(tmp_path):
    archive(tmp_path / "a.tar.gz", "mnist_rotations.pt", b"", tarfile.SYMTYPE)
    with pytest.raises(DataError, match="outside the folder"):
        get_data.unpack(tmp_path / "a.tar.gz", tmp_path / "out")


def test_a_good_archive_is_unpacked(tmp_path):
    archive(tmp_path / "a.tar.gz", "data/mnist_rotations.pt", b"content")
    (path,) = get_data.unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert path.read_bytes() == b"content"
