"""Task files: two layouts with one content, and refused when wrong (contract O11, 2.5)."""


import numpy as np
import pytest
import torch

from clrepro.errors import DataError
from mer_repro import get_data
from mer_repro.outputs import read_tuple
from mer_repro.streams import LAZY_FORMAT, kind_of_file, load_tasks


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
