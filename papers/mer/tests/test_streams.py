"""Task files: two layouts with one content, made whole or not at all, and refused when wrong (contract O11,
2.4, 2.5).
"""

import errno
import io
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from clrepro.errors import DataError
from clrepro.io.lock import hold_lock
from mer_repro import get_data
from mer_repro.outputs import read_tuple
from mer_repro.streams import LAZY_FORMAT, kind_of_file, load_tasks, save_dense


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


def test_get_data_writes_where_it_is_called_from(tmp_path, monkeypatch):
    """Wherever the package is installed: main.py looks for data/ in the same place."""
    monkeypatch.chdir(tmp_path)
    assert get_data.main(["rotations", "--source", "quick", "--n_tasks", "2"]) == 0
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mnist_rotations.pt"]


@pytest.mark.parametrize("official", [True, False])
def test_a_missing_task_file_names_the_official_images_first_where_they_are(official, tmp_path, monkeypatch):
    def locate(entry):
        if not official:
            raise DataError("not here")
        return {}

    monkeypatch.setattr("mer_repro.streams.locate", locate)
    with pytest.raises(DataError) as problem:
        load_tasks(tmp_path / "mnist_rotations.pt")
    said = str(problem.value)
    assert "python get_data.py rotations --source" in said
    assert (said.index("--source raw") < said.index("--source quick")) == official
    with pytest.raises(DataError, match=r"python get_data\.py all "):
        load_tasks(tmp_path / "mine.pt")


@pytest.fixture
def permutations(tmp_path):
    """A folder with a lazy file of three permutations."""
    words = ["permutations", "--source", "quick", "--n_tasks", "3", "--out_dir", str(tmp_path)]
    assert get_data.main(words) == 0
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("--source quick --n_tasks 4", "3 tasks, not 4"),
        ("--source quick --n_tasks 3 --seed 1", "another --seed"),
        ("--source quick --n_tasks 3 --format dense", "other --format"),
        ("--source raw --n_tasks 3", "from mnist_quick, not mnist"),
    ],
)
def test_a_good_file_made_otherwise_is_replaced_by_force_only(permutations, capsys, flags, reason):
    path = permutations / "mnist_permutations.pt"
    before = path.read_bytes()
    assert get_data.main(["permutations", *flags.split(), "--out_dir", str(permutations)]) == 1
    problem = capsys.readouterr().err
    assert reason in problem
    assert len(problem.splitlines()) == 1
    assert path.read_bytes() == before


def test_force_replaces_and_auto_takes_any_images(permutations, capsys, monkeypatch):
    monkeypatch.setenv("CL_REPRO_DATA", str(permutations))
    words = ["permutations", "--n_tasks", "3", "--out_dir", str(permutations)]
    assert get_data.main([*words, "--source", "quick", "--seed", "1", "--force"]) == 0
    assert get_data.main([*words, "--seed", "1"]) == 0
    assert "is there already" in capsys.readouterr().out
    assert get_data.main([*words, "--seed", "0"]) == 1


def some_dense(folder, kind, seed, n_train):
    descriptors, maps = get_data.task_maps(kind, 2, seed)
    digits = np.random.default_rng(0).integers(0, 256, (n_train, 784)).astype(np.uint8)
    labels = np.arange(n_train) % 10
    arrays = {"x_train": digits, "y_train": labels, "x_test": digits[:20], "y_test": labels[:20]}
    save_dense(descriptors, maps, arrays, folder / "dense.pt")
    return load_tasks(folder / "dense.pt")


@pytest.mark.parametrize(
    ("kind", "reason"), [("rotations", "are others"), ("permutations", "another --seed")]
)
def test_dense_files_are_told_apart_by_what_they_show(tmp_path, kind, reason):
    tasks = some_dense(tmp_path, kind, seed=3, n_train=30)
    wanted = {"source": "auto", "dense": True, "n_tasks": 2}
    assert get_data.difference(tasks, kind, seed=3, **wanted) == ""
    assert reason in get_data.difference(tasks, kind, seed=4, **wanted)
    assert "elsewhere" in get_data.difference(tasks, kind, seed=3, **wanted | {"source": "mnist"})


def test_a_second_get_data_on_one_folder_waits_for_nobody(tmp_path, capsys):
    with hold_lock(tmp_path / ".get_data.lock"):
        assert get_data.main(["rotations", "--source", "quick", "--out_dir", str(tmp_path)]) == 1
    assert "in use by process" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.pt"))


def test_a_full_disk_leaves_the_old_file_and_nothing_half_written(permutations, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = permutations / "mnist_permutations.pt"
    before = path.read_bytes()
    monkeypatch.setattr(get_data, "save_lazy", full)
    words = ["permutations", "--source", "quick", "--n_tasks", "3", "--seed", "9", "--force"]
    assert get_data.main([*words, "--out_dir", str(permutations)]) == 1
    assert "No space left" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert [each.name for each in permutations.iterdir()] == [path.name]


def test_get_data_replaces_a_half_written_file(tmp_path):
    (tmp_path / "mnist_rotations.pt").write_bytes(b"PK\x03\x04 cut off")
    assert get_data.main(["rotations", "--source", "quick", "--out_dir", str(tmp_path)]) == 0
    assert load_tasks(tmp_path / "mnist_rotations.pt").n_tasks == 20


def test_one_seed_gives_one_file(tmp_path):
    for name in ("a", "b"):
        get_data.main(["permutations", "--source", "quick", "--out_dir", str(tmp_path / name)])
    one, other = ((tmp_path / name / "mnist_permutations.pt").read_bytes() for name in ("a", "b"))
    assert one == other
    with zipfile.ZipFile(tmp_path / "a" / "mnist_permutations.pt") as file:
        tops = {name.split("/")[0] for name in file.namelist()}
    assert tops == {".mnist_permutations.pt"}, (
        "torch writes the temporary name into the file: no process id in it"
    )


def test_missing_official_files_name_every_place(tmp_path, capsys):
    assert (
        get_data.main(["rotations", "--source", "raw", "--raw", str(tmp_path), "--out_dir", str(tmp_path)])
        == 1
    )
    assert str(tmp_path / "mnist") in capsys.readouterr().err
    assert not list(tmp_path.glob("*.pt"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("everything", "invalid choice"),
        ("", "required"),
        ("rotations --n_tasks 0", "--n_tasks 1 or more"),
        ("rotations --n_tasks some", "invalid int"),
        ("rotations --seed -1", "--seed must be 0 or more"),
        ("rotations --source quick --raw .", "--raw names the official files"),
        ("all --convert old.pt", "say which"),
    ],
)
def test_wrong_flags_of_get_data_are_one_line_and_code_2(capsys, flags, message):
    assert get_data.main(flags.split()) == 2
    problem = capsys.readouterr().err
    assert message in problem
    assert len(problem.splitlines()) == 1


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


def test_a_good_archive_is_unpacked(task_files, tmp_path):
    content = (task_files / "dense.pt").read_bytes()
    archive(tmp_path / "a.tar.gz", "data/mnist_rotations.pt", content)
    words = ["rotations", "--archive", str(tmp_path / "a.tar.gz"), "--out_dir", str(tmp_path / "out")]
    assert get_data.main(words) == 0
    assert (tmp_path / "out" / "mnist_rotations.pt").read_bytes() == content
    assert get_data.main(["permutations", *words[1:]]) == 1


@pytest.mark.parametrize("content", [b"", b"content", b"PK\x03\x04 cut off"])
def test_a_damaged_file_in_an_archive_is_not_put_in_place(tmp_path, content):
    archive(tmp_path / "a.tar.gz", "data/mnist_rotations.pt", content)
    with pytest.raises(DataError, match="not a readable task file"):
        get_data.unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


class OldTensor:
    """Pickles as torch 0.3 wrote its tensors."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        untyped = self.tensor.untyped_storage()
        storage = torch.storage.TypedStorage(wrap_storage=untyped, dtype=self.tensor.dtype, _internal=True)
        return torch._utils._rebuild_tensor, (storage, 0, tuple(self.tensor.shape), self.tensor.stride())


def test_files_of_old_torch_are_read_and_can_be_converted(task_files, tmp_path):
    parts = torch.load(task_files / "dense.pt", weights_only=True)
    old = [[[name, OldTensor(x), OldTensor(y)] for name, x, y in part] for part in parts]
    torch.save(old, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert kind_of_file(tmp_path / "old.pt") == "old"
    words = ["rotations", "--convert", str(tmp_path / "old.pt"), "--out_dir", str(tmp_path)]
    assert get_data.main(words) == 0
    assert kind_of_file(tmp_path / "mnist_rotations.pt") == "zip"
    new = load_tasks(tmp_path / "mnist_rotations.pt")
    for tasks in (load_tasks(tmp_path / "old.pt"), new):
        for t in range(3):
            np.testing.assert_array_equal(tasks.test_rows(t), parts[1][t][1].numpy())
            np.testing.assert_array_equal(tasks.train_labels(t, np.arange(200)), parts[0][t][2].numpy())


def test_pixels_that_are_no_numbers_are_refused_when_read(tmp_path):
    x, y = torch.tensor([[0.0, 1.0], [float("nan"), 0.0]]), torch.tensor([0, 1])
    torch.save([[["a", x, y]], [["a", x[:1], y[:1]]]], tmp_path / "tasks.pt")
    tasks = load_tasks(tmp_path / "tasks.pt")
    assert tasks.train_rows(0, np.array([0])).shape == (1, 2)
    with pytest.raises(DataError, match="task 0 has pixels"):
        tasks.train_rows(0, np.array([0, 1]))


def nested(depth):
    """A list of two times the same list, and so on: 2**depth texts when written out."""
    value = "a"
    for _ in range(depth):
        value = [value, value]
    return value


def odd(kind, x):
    if kind == "conj":
        return torch.conj(torch.complex(x.float(), x.float()))
    if kind == "nested":
        return torch.nested.nested_tensor([x.float(), x.float()])
    return {
        "requires_grad": lambda: x.float().requires_grad_(),
        "bfloat16": lambda: x.to(torch.bfloat16),
        "sparse": lambda: x.float().to_sparse(),
        "quantized": lambda: torch.quantize_per_tensor(x.float(), 1.0, 0, torch.quint8),
        "meta": lambda: torch.empty(x.shape, device="meta"),
        "stride 0": lambda: torch.zeros(1, 1, dtype=x.dtype).expand(10**7, x.shape[1]),
    }[kind]()


@pytest.mark.filterwarnings("ignore")  # torch's, of tensor kinds that are not finished
@pytest.mark.parametrize(
    "kind", ["requires_grad", "bfloat16", "sparse", "quantized", "conj", "meta", "nested", "stride 0"]
)
@pytest.mark.parametrize("layout", ["lazy", "dense"])
def test_tensors_that_are_not_plain_are_one_line(kind, layout, task_files, tmp_path):
    content = torch.load(task_files / f"{layout}.pt", weights_only=True)
    if layout == "lazy":
        content["x_test"] = odd(kind, content["x_test"])
    else:
        content[1][0][1] = odd(kind, content[1][0][1])
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(DataError, match=r"x\.pt") as caught:
        load_tasks(tmp_path / "x.pt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("source", nested(30), "source is list"),
        ("format", nested(30), "format list"),
        ("descriptors", [nested(30)] * 3, "a descriptor is list"),
        ("x_test", torch.zeros(20, 784, dtype=torch.uint8), "all test images are black"),
    ],
)
def test_contents_that_a_later_step_would_stumble_over_are_one_line(name, value, said, task_files, tmp_path):
    content = torch.load(task_files / "lazy.pt", weights_only=True)
    if name == "x_test":
        value = torch.zeros_like(content[name])
    torch.save({**content, name: value}, tmp_path / "x.pt")
    with pytest.raises(DataError, match=said) as caught:
        load_tasks(tmp_path / "x.pt")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("kind", ["pipe", "/dev/zero"])
def test_what_is_no_file_is_not_waited_for(kind, tmp_path):
    import os

    path = tmp_path / "x.pt"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to(kind)
    for reader in (load_tasks, read_tuple):
        with pytest.raises(DataError, match="is a pipe, socket or device"):
            reader(path)
