"""Tasks made from one data set: all pixels moved, or the classes dealt out."""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Union

import numpy as np
from numpy.typing import NDArray

from clrepro.streams.transforms import PixelMap, apply_map, permutation_map, rotation_map

if TYPE_CHECKING:
    from clrepro.datasets import Dataset

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Split = tuple[Images, Labels, Images, Labels]  # x_train (n, inputs), y_train (n,), x_test, y_test
Data = Union[Split, "Dataset"]
LABELS = ("keep", "within_task")


@dataclass(frozen=True)
class Task:
    """x uint8 (n, inputs), y int64 (n,), to train and to test on; classes — the original labels in it.

    Raises: ValueError if images and labels do not belong together.
    """

    name: str
    x_train: Images
    y_train: Labels
    x_test: Images
    y_test: Labels
    classes: tuple[int, ...]

    def __post_init__(self) -> None:
        for x, y in ((self.x_train, self.y_train), (self.x_test, self.y_test)):
            if x.ndim != 2 or y.shape != x.shape[:1]:
                raise ValueError(f"{self.name}: images {x.shape} and labels {y.shape}: (n, inputs) and (n,)")


class Stream:
    """Tasks in order, each made when it is asked for: a hundred permutations of MNIST would not fit in
    memory.

    Args: makers — one function per task; n_classes — labels are below it.
    """

    def __init__(
        self, name: str, makers: Sequence[Callable[[], Task]], n_inputs: int, n_classes: int
    ) -> None:
        self.name, self.n_inputs, self.n_classes = name, n_inputs, n_classes
        self._makers = tuple(makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __getitem__(self, number: int) -> Task:
        return self._makers[number]()

    def __iter__(self) -> Iterator[Task]:
        return (make() for make in self._makers)

    def map(self, function: Callable[[Task], Task]) -> "Stream":
        """Returns this stream with each task passed through `function` when it is asked for."""
        makers = [partial(_made, function, make) for make in self._makers]
        return Stream(self.name, makers, self.n_inputs, self.n_classes)


def _made(function: Callable[[Task], Task], make: Callable[[], Task]) -> Task:
    return function(make())


def flat(data: Data) -> Split:
    """Returns the arrays of a data set with its images as rows: x uint8 (n, inputs), y int64 (n,)."""
    if isinstance(data, tuple):
        return data
    rows = (x.reshape(len(x), -1) for x in (data.x_train, data.x_test))
    return next(rows), data.y_train, next(rows), data.y_test


def slices(n: int, n_parts: int) -> list[slice]:
    """Returns n_parts contiguous slices of floor(n / n_parts) each that cover n; the last takes the
    remainder.

    Raises: ValueError if there are fewer examples than parts.
    """
    if not 1 <= n_parts <= n:
        raise ValueError(f"{n} examples in {n_parts} parts: 1 part to one part per example")
    size = n // n_parts
    return [slice(k * size, (k + 1) * size if k + 1 < n_parts else n) for k in range(n_parts)]


def permuted(
    data: Data,
    n_tasks: int,
    rng: np.random.Generator,
    *,
    first_identity: bool = False,
    disjoint: bool = False,
) -> Stream:
    """Returns tasks whose pixels are permuted, each task by a permutation of its own, training and test
    alike.

    Args: data — a data set, or its four arrays with images as rows; first_identity — task 0 shows the images
    as they are; disjoint — each task has its own slice of the images (see `slices`) in place of all.
    """
    data = flat(data)
    n_pixels = data[0].shape[1]
    maps = [permutation_map(n_pixels, rng) for _ in range(n_tasks)]
    if first_identity:
        maps[0] = np.arange(n_pixels)
    return moved("permuted", data, maps, disjoint=disjoint)


def rotated(data: Data, angles_deg: Sequence[float], *, disjoint: bool = False) -> Stream:
    """Returns tasks rotated counter-clockwise about the image centre, one per angle (see `rotation_map`).

    Raises: ValueError if the images are not square.
    """
    data = flat(data)
    side = round(data[0].shape[1] ** 0.5)
    if side * side != data[0].shape[1]:
        raise ValueError(f"images of {data[0].shape[1]} pixels: rotation needs square ones")
    return moved("rotated", data, [rotation_map(angle, side) for angle in angles_deg], disjoint=disjoint)


def many_permutations(data: Data, n_tasks: int, examples: int, rng: np.random.Generator) -> Stream:
    """Returns permuted tasks with few training examples each: `examples` drawn anew for every task, without
    repetition within it; the test images are all in every task.

    Source: the many-permutations benchmark of Riemer et al. 2019.
    """
    data = flat(data)
    x, y = data[0], data[1]
    if examples > len(y):
        raise ValueError(f"{examples} examples per task: there are {len(y)}")
    maps = [permutation_map(x.shape[1], rng) for _ in range(n_tasks)]
    chosen = [rng.choice(len(y), examples, replace=False) for _ in range(n_tasks)]
    makers = [
        partial(_move, f"many permutations {k}", (x, y, data[2], data[3]), pixels, pick, slice(None))
        for k, (pixels, pick) in enumerate(zip(maps, chosen, strict=True))
    ]
    return Stream("many permutations", makers, x.shape[1], _n_classes(data))


def moved(name: str, data: Split, maps: Sequence[PixelMap], *, disjoint: bool = False) -> Stream:
    """Returns one task per pixel map (see `clrepro.streams.transforms`)."""
    x, y, _, y_test = data
    whole = [slice(None)] * len(maps)
    train = slices(len(y), len(maps)) if disjoint else whole
    test = slices(len(y_test), len(maps)) if disjoint else whole
    makers = [
        partial(_move, f"{name} {k}", data, pixels, a, b)
        for k, (pixels, a, b) in enumerate(zip(maps, train, test, strict=True))
    ]
    return Stream(name, makers, x.shape[1], _n_classes(data))


def _n_classes(data: Split) -> int:
    """One more than the largest label: a class may be among the test images alone."""
    return int(max(data[1].max(), data[3].max())) + 1


def _move(name: str, data: Split, pixels: PixelMap, train: slice | Labels, test: slice) -> Task:
    x, y, x_test, y_test = data
    labels = y[train]
    classes = tuple(np.unique(labels).tolist())
    return Task(
        name, apply_map(x[train], pixels), labels, apply_map(x_test[test], pixels), y_test[test], classes
    )


def split_classes(
    data: Data, classes_per_task: int, *, labels: str = "keep", order: Sequence[int] | None = None
) -> Stream:
    """Returns tasks of `classes_per_task` classes each, all their images, in the order of the labels or in
    `order`.

    Args: labels — "keep" the original ones, or number them 0, 1, ... "within_task".
    Raises: ValueError if the classes do not divide evenly, for one that is named twice or has no training
        images, or for an unknown word.
    """
    data = flat(data)
    x, y = data[:2]
    classes = _classes(y, order)
    if classes_per_task < 1 or not classes or len(classes) % classes_per_task:
        raise ValueError(f"{len(classes)} classes in tasks of {classes_per_task}: must divide evenly")
    if labels not in LABELS:
        raise ValueError(f"labels {labels!r}: one of {', '.join(LABELS)}")
    groups = [classes[k : k + classes_per_task] for k in range(0, len(classes), classes_per_task)]
    makers = [partial(_pick, data, tuple(group), labels == "within_task") for group in groups]
    n_classes = classes_per_task if labels == "within_task" else max(classes) + 1
    return Stream("split", makers, x.shape[1], n_classes)


def _classes(y: Labels, order: Sequence[int] | None) -> list[int]:
    """The classes in order, each with images of its own."""
    try:
        classes = list(range(int(y.max()) + 1)) if order is None else [operator.index(k) for k in order]
    except TypeError:
        raise ValueError(f"class order {list(order or ())!r}: whole numbers") from None
    if len(set(classes)) < len(classes):
        twice = next(k for place, k in enumerate(classes) if k in classes[:place])
        raise ValueError(f"class {twice} occurs twice in the class order; each class belongs to one task")
    if foreign := sorted(set(classes) - set(np.unique(y).tolist())):
        raise ValueError(f"class {foreign[0]} has no training images; the classes are those of the labels")
    return classes


def _pick(data: Split, group: tuple[int, ...], renumber: bool) -> Task:
    x, y, x_test, y_test = data
    number = np.full(max(int(y.max()), int(y_test.max()), *group) + 1, -1)
    number[list(group)] = np.arange(len(group)) if renumber else group
    train, test = (np.flatnonzero(number[labels] >= 0) for labels in (y, y_test))
    return Task(
        f"classes {', '.join(map(str, group))}", x[train], number[y[train]], x_test[test],
        number[y_test[test]], tuple(group),
    )  # fmt: skip
