"""Speed benchmarks of MER: each engine at the paper's largest setting, with memories already full.

`reference` is plain torch with the original's draws (shuffle all slots for every replayed item); `reference,
compiled draws` takes that well-known cost away and leaves autograd against the fused kernels.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.bench import Benchmark, Scaling
from clrepro.datasets import load
from clrepro.streams import apply_map, rotation_map
from mer_repro.learner import make_method
from mer_repro.rngs import Rngs
from mer_repro.sampling import LegacySampler
from mer_repro.settings import Settings

N_TASKS = 20
MER_FLAGS = {"lr": 0.03, "beta": 0.03, "gamma": 1.0, "replay_batch_size": 100, "batches_per_example": 10}


def benchmarks() -> Iterator[Benchmark]:
    """Yields the speed rows promised for MER."""
    images, labels = task_data()
    yield one_step(images, labels)
    setting = "rotations, 5120 memories, replay 100, 10 batches"
    yield replay_benchmark("meralg1", setting, 60, MER_FLAGS, images, labels)
    setting = "rotations, 5120 memories, replay 25"
    yield replay_benchmark("eralg4", setting, 5, {"lr": 0.1, "replay_batch_size": 25}, images, labels)
    for finished in (1, 10, 19):
        yield gem_benchmark(finished, images, labels)
    yield evaluation(images)


def scalings() -> Iterator[Scaling]:
    """Yields how the cost of an example grows with memory and tasks."""
    images, labels = task_data()

    def gem(engine: str) -> Callable[[int], Callable[[], int]]:
        return lambda finished: observing(gem_learner(engine, finished, images, labels), images, labels, 3)

    def meralg1(engine: str) -> Callable[[int], Callable[[], int] | None]:
        def make(memories: int) -> Callable[[], int] | None:
            if engine == "reference" and memories > 10_000:
                return None  # the original shuffles all slots for each of 1000 draws per example
            learner = method("meralg1", engine, **{**MER_FLAGS, "memories": memories})
            fill(learner, images, labels, memories)
            return observing(learner, images, labels, 5 if engine == "fused" else 1)

        return make

    engines = ("fused", "reference")
    yield Scaling(
        "GEM, 256 memories per task",
        "finished tasks",
        "example",
        (1, 5, 10, 15, 19),
        {engine: gem(engine) for engine in engines},
    )
    yield Scaling(
        "MER (algorithm 1), replay 100, 10 batches",
        "memories",
        "example",
        (200, 1_000, 5_120, 20_480),
        {engine: meralg1(engine) for engine in engines},
    )


def task_data() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns (rows float32 (tasks, 300, 784), labels (tasks, 300)): 20 rotations of embedded real digits."""
    data = load("mnist_quick")
    rng = np.random.default_rng(0)
    rows, labels = [], []
    for t in range(N_TASKS):
        pick = rng.choice(len(data.x_train), 300, replace=False)
        flat = data.x_train[pick].reshape(300, -1)
        rows.append(apply_map(flat, rotation_map(180 * t / N_TASKS)).astype(np.float32) / 255)
        labels.append(data.y_train[pick])
    return np.stack(rows), np.stack(labels)


def method(model: str, engine: str, **flags: Any) -> Any:
    """Returns a fresh learner of the paper's size."""
    settings = Settings(model=model, engine=engine, **flags)
    return make_method(settings, 784, 10, N_TASKS, Rngs(0))


def fill(learner: Any, images: NDArray[np.float32], labels: NDArray[np.int64], n: int) -> None:
    """Offer n examples of all tasks to the learner's memory without training."""
    rng = np.random.default_rng(1)
    for _ in range(n):
        t, i = int(rng.integers(N_TASKS)), int(rng.integers(images.shape[1]))
        learner.memory.stage(images[t, i], t, int(labels[t, i]))
        learner.memory.keep()
    learner.n_seen = n


def observing(
    learner: Any, images: NDArray[np.float32], labels: NDArray[np.int64], n: int
) -> Callable[[], int]:
    """Returns a function that learns the next n examples of the last task."""
    place = iter(range(10**9))

    def work() -> int:
        for _ in range(n):
            i = next(place) % images.shape[1]
            learner.observe(images[-1, i : i + 1], labels[-1, i : i + 1], N_TASKS - 1)
        return n

    return work


def one_step(images: NDArray[np.float32], labels: NDArray[np.int64]) -> Benchmark:
    """The single-example SGD step itself, 101 in a row."""
    sides: dict[str, Callable[[], int]] = {}
    for engine in ("fused", "reference"):
        learner = method("online", engine)
        flat_x, flat_y = images.reshape(-1, 784), labels.ravel()
        rows = learner.net.engine.store(500)
        for slot in range(500):
            rows.put(slot, flat_x[slot * 12], int(flat_y[slot * 12]))
        indices = np.random.default_rng(2).integers(0, 500, 101)

        def work(
            engine: Any = learner.net.engine,
            theta: Any = learner.net.theta,
            rows: Any = rows,
            indices: Any = indices,
        ) -> int:
            engine.steps(theta, rows, indices, 0.01)
            return 101

        sides[engine] = work
    return Benchmark("one SGD step on one example, 784-100-100-10", "step", sides, "≤ 10 µs", rounds=15)


def replay_benchmark(
    model: str, setting: str, promised: int, flags: dict[str, Any],
    images: NDArray[np.float32], labels: NDArray[np.int64],
) -> Benchmark:  # fmt: skip
    """A replay learner with a full memory."""
    sides: dict[str, Callable[[], int]] = {}
    for side in ("fused", "reference", "reference, compiled draws"):
        learner = method(model, side.split(",")[0], **flags)
        fill(learner, images, labels, 6000)
        if "compiled" in side:
            sampler = LegacySampler(5120, random.Random(0), compiled=True)
            sampler.load({"age": 6000})
            learner.memory.sampler = sampler
        sides[side] = observing(learner, images, labels, 20 if side == "fused" else 1)
    promises = {"reference": float(promised)}
    return Benchmark(f"{model}: {setting}", "example", sides, f"≥ {promised}×", promised=promises)


def gem_benchmark(finished: int, images: NDArray[np.float32], labels: NDArray[np.int64]) -> Benchmark:
    """GEM with 256 memories per task after some finished tasks."""
    sides = {
        engine: observing(gem_learner(engine, finished, images, labels), images, labels, n)
        for engine, n in (("fused", 10), ("reference", 3))
    }
    name = f"gem: rotations, 256 memories per task, {finished} finished tasks"
    promise = 4 if finished == 19 else 5
    return Benchmark(name, "example", sides, f"≥ {promise}×", promised={"reference": float(promise)})


def gem_learner(engine: str, finished: int, images: NDArray[np.float32], labels: NDArray[np.int64]) -> Any:
    """Returns a GEM learner in its last task, with so many finished tasks in its memory."""
    learner = method("gem", engine, n_memories=256, memory_strength=1.0, lr=0.01)
    for t in range(N_TASKS - 1 - finished, N_TASKS - 1):
        learner._start_task(t)
        for i in range(256):
            learner.rows.put(t * 256 + i, images[t, i], int(labels[t, i]))
        learner.filled[t] = True
    return learner


def evaluation(images: NDArray[np.float32]) -> Benchmark:
    """Predicting test rows."""
    rows = images.reshape(-1, 784)[:2500].copy()
    sides: dict[str, Callable[[], int]] = {}
    for engine in ("fused", "reference"):
        learner = method("online", engine)

        def work(engine: Any = learner.net.engine, theta: Any = learner.net.theta) -> int:
            engine.logits(theta, rows)
            return len(rows)

        sides[engine] = work
    return Benchmark("evaluation", "row", sides, rounds=15)
