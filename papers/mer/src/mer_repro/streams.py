"""Task files: the original's (every task written out, 4 to 21 GB) and the lazy one (base images once, 55 MB).

Lazy layout, a dict saved by torch: format "cl-repro/lazy-tasks/1", kind, source, descriptors (list of T),
maps int64 (T, 784) as in clrepro.streams, x_train / x_test uint8 (N, 784), y_train / y_test int64 (N,).
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.datasets import CATALOG
from clrepro.datasets.locate import VARIABLE, locate, sha256
from clrepro.errors import DataError
from clrepro.io.regular_files import check_regular_file, open_regular_file
from clrepro.streams import apply_map

KINDS = {"rotations": 20, "permutations": 20, "manypermutations": 100}
LAZY_FORMAT = "cl-repro/lazy-tasks/1"
MAX_BYTES = 1 << 36  # the largest hosted one had 21 GB
OLD_TORCH = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")  # first bytes of files saved before torch 1.6
MAX_NAME = 200  # characters of what a file says of a task or of its source
Rows = NDArray[np.float32]


class LazyTasks:
    """Tasks made on demand from one base set by moving pixels."""

    def __init__(self, content: dict[str, Any], where: str) -> None:
        arrays = {}
        for name, dtype, rank in (
            ("x_train", "uint8", 2), ("y_train", "int64", 1), ("x_test", "uint8", 2), ("y_test", "int64", 1),
            ("maps", "int64", 2),
        ):  # fmt: skip
            arrays[name] = _array(content.get(name), dtype, rank, f"{where}: {name}")
        self._x_train, self._y_train = arrays["x_train"], arrays["y_train"]
        self.base_test, self._y_test = arrays["x_test"], arrays["y_test"]
        self.maps: NDArray[np.int64] | None = arrays["maps"]
        self._descriptors = content.get("descriptors")
        source = content.get("source")
        if not isinstance(source, str) or len(source) > MAX_NAME:
            raise DataError(f"{where}: source is {type(source).__name__}, expected a short name")
        self.source = source  # the data set the images are from
        n_pixels = self._x_train.shape[1]
        if (
            not isinstance(self._descriptors, list)
            or len(self._descriptors) != len(arrays["maps"])
            or not self._descriptors
        ):
            raise DataError(f"{where}: {len(arrays['maps'])} pixel maps need as many task descriptors")
        for one in self._descriptors:
            _descriptor(one, where)
        if arrays["maps"].shape[1] != n_pixels or self.base_test.shape[1] != n_pixels:
            raise DataError(f"{where}: images and pixel maps disagree about the number of pixels")
        if arrays["maps"].min() < -1 or arrays["maps"].max() >= n_pixels:
            raise DataError(f"{where}: a pixel map points outside the image")
        for x, y in ((self._x_train, self._y_train), (self.base_test, self._y_test)):
            _check_labels(x, y, where)
        if not self.base_test.any():
            raise DataError(f"{where}: all test images are black; there is nothing to recognise")
        self.n_tasks, self.n_inputs = arrays["maps"].shape
        self.n_outputs = int(max(self._y_train.max(), self._y_test.max())) + 1

    def descriptor(self, t: int) -> Any:
        """Returns the rotation angle in degrees, or the text "random permutation"."""
        assert self._descriptors is not None
        return self._descriptors[t]

    def train_size(self, t: int) -> int:
        """Returns the number of training examples of task t."""
        return len(self._y_train)

    def train_rows(self, t: int, indices: NDArray[np.int64]) -> Rows:
        """Returns training rows float32 (n, n_inputs) in [0, 1]."""
        assert self.maps is not None
        return apply_map(self._x_train[indices], self.maps[t]).astype(np.float32) / np.float32(255)

    def train_labels(self, t: int, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns training labels int64 (n,)."""
        return self._y_train[indices]

    def test_rows(self, t: int) -> Rows:
        """Returns all test rows of task t, float32 (N, n_inputs)."""
        assert self.maps is not None
        return apply_map(self.base_test, self.maps[t]).astype(np.float32) / np.float32(255)

    def test_labels(self, t: int) -> NDArray[np.int64]:
        """Returns all test labels of task t, int64 (N,)."""
        return self._y_test


class DenseTasks:
    """The original's list of [descriptor, x, y] per task, memory-mapped."""

    maps: NDArray[np.int64] | None = None
    base_test: NDArray[np.uint8] | None = None

    def __init__(self, content: Any, where: str) -> None:
        if (
            not isinstance(content, list)
            or len(content) != 2
            or not all(isinstance(part, list) for part in content)
        ):
            raise DataError(f"{where}: expected [train tasks, test tasks], as get_data.py writes it")
        self._where = where
        self._train, self._test = ([_task(task, where) for task in part] for part in content)
        if len(self._train) != len(self._test) or not self._train:
            raise DataError(f"{where}: {len(self._train)} training and {len(self._test)} test tasks")
        self.n_tasks = len(self._train)
        self.n_inputs = self._train[0][1].shape[1]
        tasks = [*self._train, *self._test]
        if any(task[1].shape[1] != self.n_inputs for task in tasks):
            raise DataError(f"{where}: tasks differ in their number of inputs")
        self.n_outputs = int(max(task[2].max() for task in tasks)) + 1

    def descriptor(self, t: int) -> Any:
        """Returns what the file says of task t."""
        return self._train[t][0]

    def train_size(self, t: int) -> int:
        """Returns the number of training examples of task t."""
        return len(self._train[t][2])

    def train_rows(self, t: int, indices: NDArray[np.int64]) -> Rows:
        """Returns training rows float32 (n, n_inputs).  Raises: DataError if one is not finite."""
        rows = np.asarray(self._train[t][1][indices])
        if not np.isfinite(rows).all():
            raise DataError(f"{self._where}: task {t} has pixels that are not finite numbers; make it again")
        return rows

    def train_labels(self, t: int, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns training labels int64 (n,)."""
        return self._train[t][2][indices]

    def test_rows(self, t: int) -> Rows:
        """Returns all test rows of task t, float32 (N, n_inputs)."""
        return self._test[t][1]

    def test_labels(self, t: int) -> NDArray[np.int64]:
        """Returns all test labels of task t, int64 (N,)."""
        return self._test[t][2]


TaskFile = LazyTasks | DenseTasks


def load_tasks(path: Path) -> TaskFile:
    """Returns the tasks in a file of either layout.

    Raises: DataError if it is missing, damaged, or holds anything but plain tensors of the right types and
    shapes.
    """
    return _tasks(_content(path), path)


def convert(old: Path, new: Path) -> None:
    """Save the task file `old`, of any age, as one that is read without loading it whole.

    Raises: DataError if it is no task file.
    """
    import torch

    content = _content(old)
    _tasks(content, old)
    torch.save(content, new)


def _content(path: Path) -> Any:
    """What torch finds in a file, admitting plain tensors, numbers, texts and containers of them."""
    import torch

    _must_exist(path)
    try:
        if not (kind := kind_of_file(path)):
            raise ValueError("it begins like no file of torch")  # a bare pickle, for one
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that are refused next
            return torch.load(path, map_location="cpu", weights_only=True, mmap=kind == "zip")
    except Exception as error:  # torch reports damage with many kinds; the first line tells which
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise DataError(
            f"{path}: not a readable task file ({reason}); make it again with get_data.py, or load a trusted "
            "old one with the torch that wrote it and save its tensors anew"
        ) from None


def _tasks(content: Any, path: Path) -> TaskFile:
    if isinstance(content, dict):
        found = content.get("format")
        if not isinstance(found, str) or found != LAZY_FORMAT:
            shown = repr(found[:MAX_NAME]) if isinstance(found, str) else type(found).__name__
            raise DataError(f"{path}: format {shown}; this version reads {LAZY_FORMAT!r}")
        return LazyTasks(content, str(path))
    return DenseTasks(content, str(path))


def checksums(path: Path) -> dict[str, str]:
    """Returns the file's name and sha256, for the run record.  Raises: DataError if it is missing."""
    _must_exist(path)
    return {"file": path.name, "sha256": sha256(path)}


def kind_of_file(path: Path) -> str:
    """Returns "zip" (today's torch files, which are mapped, not loaded), "old" (before torch 1.6), or ""."""
    with open_regular_file(path, MAX_BYTES) as file:
        start = file.read(len(OLD_TORCH))
    return "zip" if start.startswith(b"PK") else "old" if start == OLD_TORCH else ""


def _must_exist(path: Path) -> None:
    try:
        check_regular_file(path, MAX_BYTES, "no such task file")
    except DataError as problem:
        raise DataError(f"{problem}; make it with: {_how_to_make(path)}") from None


def _how_to_make(path: Path) -> str:
    """The command that makes a task file: from the official images first, where they are."""
    kind = path.name.removeprefix("mnist_").removesuffix(".pt")
    make = f"python get_data.py {kind if path.name == f'mnist_{kind}.pt' and kind in KINDS else 'all'}"
    try:
        locate(CATALOG["mnist"])
    except DataError:
        return (
            f"{make} --source quick (10,000 + 2,000 digits), or, with the official MNIST in ${VARIABLE}, "
            "--source raw"
        )
    return f"{make} --source raw (official MNIST, which is here), or --source quick (10,000 + 2,000 digits)"


def _array(value: Any, dtype: str, rank: int, where: str) -> NDArray[Any]:
    """A tensor as an array without a copy, or DataError if it is something else."""
    if reason := _no_plain_tensor(value):
        raise DataError(f"{where} is {reason}, expected a tensor of plain numbers")
    array: NDArray[Any] = value.numpy()
    if str(array.dtype) != dtype or array.ndim != rank or 0 in array.shape:
        raise DataError(
            f"{where} is {array.dtype} {array.shape}, expected {dtype} with {rank} dimensions, not empty"
        )
    return array


def _no_plain_tensor(value: Any) -> str:
    """Why a value has no contents that lie in memory as its shape says, one number after the other; "" if it
    has.
    """
    import torch

    if type(value) is not torch.Tensor:
        return f"a {type(value).__name__}"
    if value.is_nested or value.is_quantized or value.layout != torch.strided or value.device.type != "cpu":
        kind = "nested" if value.is_nested else "quantized" if value.is_quantized else value.device.type
        return f"a tensor that is {kind} with layout {value.layout}"
    if value.requires_grad or value.is_conj() or value.is_neg():
        return "a tensor that stands for a computation (a gradient is wanted, conjugate or negated)"
    if value.dtype in (torch.bfloat16, torch.complex32) or str(value.dtype).startswith("torch.float8"):
        return f"a tensor of {value.dtype}"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f"a tensor {tuple(value.shape)} of fewer numbers that are repeated"
    return ""


def _descriptor(value: Any, where: str) -> Any:
    """What a file says of a task: a number or a short text; a nested one could be written out without end."""
    if isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= MAX_NAME):
        return value
    raise DataError(f"{where}: a descriptor is {type(value).__name__}, expected a number or a short text")


def _check_labels(x: NDArray[Any], y: NDArray[np.int64], where: str) -> None:
    if len(x) != len(y):
        raise DataError(f"{where}: {len(x)} images but {len(y)} labels")
    if y.min() < 0 or y.max() > 9999:
        raise DataError(f"{where}: labels from {y.min()} to {y.max()}; expected class numbers from 0")


def _task(task: Any, where: str) -> "tuple[Any, Rows, NDArray[np.int64]]":
    if not isinstance(task, list | tuple) or len(task) != 3:
        raise DataError(f"{where}: a task must be [descriptor, x, y]")
    x = _array(task[1], "float32", 2, f"{where}: x")
    y = _array(task[2], "int64", 1, f"{where}: y")
    _check_labels(x, y, where)
    return _descriptor(task[0], where), x, y


def save_lazy(
    kind: str, source: str, descriptors: list[Any], maps: NDArray[np.int64],
    arrays: dict[str, NDArray[Any]], path: Path,
) -> None:  # fmt: skip
    """Write a lazy task file.  Args: arrays — x_train, y_train, x_test, y_test as in the module's
    description.
    """
    import torch

    content: dict[str, Any] = {
        "format": LAZY_FORMAT,
        "kind": kind,
        "source": source,
        "descriptors": descriptors,
    }
    tensors: dict[str, torch.Tensor] = {name: torch.from_numpy(array) for name, array in arrays.items()}
    torch.save(content | tensors | {"maps": torch.from_numpy(maps)}, path)


def save_dense(
    descriptors: list[Any], maps: NDArray[np.int64], arrays: dict[str, NDArray[Any]], path: Path
) -> None:
    """Write every task out in the original's layout; needs memory for all of them."""
    import torch

    def tasks(part: str) -> list[Any]:
        labels = torch.from_numpy(arrays[f"y_{part}"])
        rows = [apply_map(arrays[f"x_{part}"], one).astype(np.float32) / np.float32(255) for one in maps]
        return [[name, torch.from_numpy(x), labels] for name, x in zip(descriptors, rows, strict=True)]

    torch.save([tasks("train"), tasks("test")], path)
