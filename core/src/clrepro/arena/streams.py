"""Streams by name: which tasks, of which images, in which scenario; the same draws for every method.

A stream is `DATA-KIND`, such as "mnist-permutations"; what a seed draws (permutations, the order of classes,
the examples of each task, their order) does not depend on the method.  One training image in six is kept for
validation: methods are chosen on those, and tables are measured on test images.
"""

import functools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro import datasets
from clrepro.arena.spec import Spec
from clrepro.errors import UsageError
from clrepro.seeding import Seeds
from clrepro.streams import Stream, Task, permuted, rotated, split_classes
from clrepro.streams.tasks import Split, flat

KINDS = {
    "permutations": "every task shows the same classes under a permutation of the pixels of its own",
    "rotations": "every task shows the same classes turned by another angle, from 0 to below 180 degrees",
    "split-task": "classes are dealt out to the tasks; at test the task is known (task-incremental)",
    "split-domain": "as split-task, but every task asks which of its classes, by number (domain-incremental)",
    "split-class": "as split-task, but at test the task is not known (class-incremental)",
}
DATA = {"digits": "mnist_quick", "mnist": "mnist", "fashion": "fashion_mnist", "notmnist": "notmnist"}
PROFILES = ("quick", "full")
HELD_BACK = 6  # one training image in so many is for validation
_SIZES = {  # of a profile: data, tasks, examples, tests, memory; and of its split streams tasks, examples
    "quick": ("digits", 5, 500, 500, 100, 5, 500),
    "full": ("mnist", 20, 1000, 2000, 200, 5, 2000),
}


@dataclass(frozen=True)
class Plan:
    """A stream: data and kind, its sizes, and which images it is measured on, "test" or "validation".

    examples, tests — of each task, to train and to measure on; first — only so many of the tasks are
    presented, 0: all.
    """

    data: str
    kind: str
    n_tasks: int
    examples: int
    tests: int
    memory: int
    epochs: int = 1
    batch_size: int = 10
    measured_on: str = "test"
    first: int = 0

    @property
    def name(self) -> str:
        """Its name in records, e.g. "mnist-permutations/20x1000-m200"."""
        more = f"-e{self.epochs}" if self.epochs > 1 else ""
        more += f"-first{self.first}" if self.first else ""
        more += f"-{self.measured_on}" if self.measured_on != "test" else ""
        return f"{self.data}-{self.kind}/{self.n_tasks}x{self.examples}-m{self.memory}{more}"

    @property
    def presented(self) -> int:
        """Tasks that are presented."""
        return self.first or self.n_tasks

    def fingerprint(self) -> dict[str, Any]:
        """Returns all that decides the stream, plain values."""
        return asdict(self)


def plan(name: str, profile: str, **sizes: int | None) -> Plan:
    """Returns the stream of a name, "rotations" or "fashion-rotations", with the sizes of a profile.

    Args: sizes — n_tasks, examples, tests, memory, epochs, batch_size; None: the profile's.
    Raises: UsageError for an unknown name, listing those there are, or a size that cannot be.
    """
    default, n_tasks, examples, tests, memory, n_splits, per_split = _SIZES[profile]
    data, _, kind = name.partition("-") if name.partition("-")[0] in DATA else (default, "", name)
    if kind not in KINDS:
        raise UsageError(f"stream {name!r}: one of {', '.join(KINDS)}, or one of them after {_prefixes()}")
    if kind.startswith("split"):
        n_tasks, examples = n_splits, per_split
    made = Plan(data, kind, n_tasks, examples, tests, memory)
    given: dict[str, Any] = {key: value for key, value in sizes.items() if value is not None}
    made = replace(made, **given)
    for key in ("n_tasks", "examples", "tests", "memory", "epochs", "batch_size"):
        if (value := getattr(made, key)) < 1:
            raise UsageError(f"{_flag(key)} {value}: must be 1 or more")
    return made


def _prefixes() -> str:
    return ", ".join(f"{name}-" for name in DATA)


def _flag(key: str) -> str:
    return "--" + {"n_tasks": "tasks"}.get(key, key).replace("_", "-")


class ArenaStream:
    """The tasks of a plan as one seed draws them.

    Args: data — images and labels, the plan's data set unless given.
    Raises: UsageError if the images do not suffice, have one class alone, or the classes cannot be dealt out.
    """

    def __init__(self, plan: Plan, seed: int, data: Split | None = None) -> None:
        self.plan, self._seeds = plan, Seeds(seed)
        self._pool = _part(flat(_load(plan.data)) if data is None else data, plan.measured_on)
        self._check()
        self._groups = self._order() if plan.kind.startswith("split") else []
        self._split = self._dealt() if self._groups else None
        self._tests: dict[int, tuple[NDArray[np.uint8], NDArray[np.int64]]] = {}
        self._made: tuple[int, Task] | None = None

    @property
    def spec(self) -> Spec:
        """What a method is told."""
        p, side = self.plan, round(self._pool[0].shape[1] ** 0.5)
        classes = self._classes()
        return Spec(
            n_inputs=self._pool[0].shape[1], n_classes=max(map(max, classes)) + 1, n_tasks=p.n_tasks,
            examples_per_task=p.examples, memory=p.memory, shape=(side, side), classes=classes,
            scenario={"split-task": "task", "split-class": "class"}.get(p.kind, "domain"),
            epochs=p.epochs, batch_size=p.batch_size,
        )  # fmt: skip

    def batches(self, task: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Yields a task's batches in order, fresh arrays: x float32 (b, inputs) in [0, 1], y int64 (b,)."""
        made, rng = self._task(task), Seeds(self._seeds.integer(f"order/{task}"))["order"]
        for _ in range(self.plan.epochs):
            order = rng.permutation(len(made.y_train))
            for start in range(0, len(order), self.plan.batch_size):
                rows = order[start : start + self.plan.batch_size]
                yield _scaled(made.x_train[rows]), made.y_train[rows]

    def tests(self, task: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Returns what a task is measured on: x float32 (n, inputs) in [0, 1], y int64 (n,), fresh arrays."""
        if task not in self._tests:
            made = self._task(task)
            self._tests[task] = made.x_test, made.y_test
        x, y = self._tests[task]
        return _scaled(x), y.copy()

    def _task(self, number: int) -> Task:
        if self._made is None or self._made[0] != number:
            self._made = number, self._make(number)
        return self._made[1]

    def _make(self, number: int) -> Task:
        rng = Seeds(self._seeds.integer(f"task/{number}"))["draws"]
        if self._split is not None:
            task = self._split[number]
            few = _few((task.x_train, task.y_train, task.x_test, task.y_test), self.plan, rng)
            return Task(task.name, *few, task.classes)
        few = _few(self._pool, self.plan, rng)
        if self.plan.kind == "rotations":
            return rotated(few, [180 * number / self.plan.n_tasks])[0]
        return permuted(few, 1, rng)[0]

    def _check(self) -> None:
        p, (_, y, _, y_test) = self.plan, self._pool
        n_classes = len(np.unique(y))
        if n_classes < 2:
            raise UsageError(f"{p.data}: its images are all of one class; there is nothing to tell apart")
        if p.kind.startswith("split") and (n_classes % p.n_tasks or n_classes // p.n_tasks < 2):
            raise UsageError(
                f"--tasks {p.n_tasks}: the {n_classes} classes of {p.data} go into equal tasks of two or more"
            )
        split = p.kind.startswith("split")  # whose tasks take what their classes have
        for flag, wanted, there in (("--examples", p.examples, y), ("--tests", p.tests, y_test)):
            if not split and wanted > len(there):
                raise UsageError(f"{flag} {wanted}: {p.data} has {len(there)} such images")
        if p.first > p.n_tasks:
            raise UsageError(f"the first {p.first} of {p.n_tasks} tasks")

    def _order(self) -> list[tuple[int, ...]]:
        """The classes of each task of a split stream."""
        classes = [int(c) for c in self._seeds["classes"].permutation(np.unique(self._pool[1]))]
        size = len(classes) // self.plan.n_tasks
        return [tuple(classes[k : k + size]) for k in range(0, len(classes), size)]

    def _dealt(self) -> Stream:
        labels = "within_task" if self.plan.kind == "split-domain" else "keep"
        order = [c for group in self._groups for c in group]
        return split_classes(self._pool, len(self._groups[0]), labels=labels, order=order)

    def _classes(self) -> tuple[tuple[int, ...], ...]:
        """The labels that each task asks for."""
        if self.plan.kind in ("split-task", "split-class"):
            return tuple(tuple(sorted(group)) for group in self._groups)
        n = len(self._groups[0]) if self._groups else int(self._pool[1].max()) + 1
        return (tuple(range(n)),) * self.plan.n_tasks


def _few(data: Split, plan: Plan, rng: np.random.Generator) -> Split:
    """As many examples as the plan says, drawn without repetition, or all of a class that has fewer."""
    x, y, x_test, y_test = data
    train = rng.choice(len(y), min(plan.examples, len(y)), replace=False)
    test = rng.choice(len(y_test), min(plan.tests, len(y_test)), replace=False)
    return x[train], y[train], x_test[test], y_test[test]


def _part(data: Split, measured_on: str) -> Split:
    """Training images without those held back, and the test images or those held back."""
    x, y, x_test, y_test = data
    order = np.random.default_rng(0).permutation(len(y))  # the same for every seed and stream
    held, kept = np.sort(order[::HELD_BACK]), np.sort(np.delete(order, np.s_[::HELD_BACK]))
    if measured_on == "validation":
        return x[kept], y[kept], x[held], y[held]
    return x[kept], y[kept], x_test, y_test


@functools.lru_cache(maxsize=1)
def _load(name: str) -> datasets.Dataset:
    return datasets.load(DATA[name])


def checksums(name: str) -> dict[str, str]:
    """Returns file name to sha256 of the data set called so here.  Raises: DataError if it is not there."""
    return _load(name).sha256


def _scaled(x: NDArray[np.uint8]) -> NDArray[np.float32]:
    return x.astype(np.float32) / np.float32(255)
