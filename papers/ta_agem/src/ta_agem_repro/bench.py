"""Speed benchmarks of TA-A-GEM: one A-GEM step, a whole run, feeding the memory.

The plain loop is what a reader of the paper would write in torch: loaders, `AGEMHandler.optimize` on a list
of samples drawn from the memory for each batch, evaluation through a test loader.  The reference engine
shares the loop, the draws and the evaluation with the fused one and differs in the step alone.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from clrepro.bench import Benchmark, Scaling
from clrepro.datasets import Dataset
from clrepro.streams.tasks import flat
from ta_agem_repro import streams, train
from ta_agem_repro.fused_engine import FusedEngine
from ta_agem_repro.images import load_images
from ta_agem_repro.memory import ClusteringMemory
from ta_agem_repro.networks import initial_layers, network
from ta_agem_repro.settings import Settings

RUN = Settings(dataset_name="mnist_quick", num_tasks=5, num_epochs=4, learning_rate=0.01)


def benchmarks() -> Iterator[Benchmark]:
    """Yields the speed rows promised for TA-A-GEM."""
    images = load_images("mnist_quick")
    yield one_step(images)
    yield whole_run(images)
    yield feeding(images)


def one_step(data: Dataset) -> Benchmark:
    """An A-GEM step of 784-200-200-10 on 10 + 10 rows; Avalanche's too where it is installed."""
    from ta_agem_repro import peer_avalanche
    from ta_agem_repro.reference_engine import ReferenceEngine

    layers = initial_layers(np.random.default_rng(0), input_dim=RUN.input_dim, hidden_dim=RUN.hidden_dim)
    images, labels = flat(data)[:2]
    sides: dict[str, Callable[[], int]] = {}
    for engine in (FusedEngine(layers, 300), ReferenceEngine(layers, 300)):
        engine.open(images[:2000], labels[:2000])
        for slot in range(300):
            x = images[3000 + slot].astype(np.float32) / np.float32(255)
            engine.remember(slot, x, int(labels[3000 + slot]))
        rng = np.random.default_rng(1)

        def work(engine: Any = engine, rng: np.random.Generator = rng) -> int:
            engine.steps(rng.integers(0, 2000, (50, 10)), rng.integers(0, 300, (50, 10)), 0.001)
            return 50

        sides[engine.name] = work
    if peer_avalanche.available():
        sides["avalanche"] = peer_avalanche.steps(layers, images, labels)
    promise = "≥ 8× Avalanche's"
    name = "one A-GEM step, 784-200-200-10, batch 10 + 10"
    return Benchmark(name, "step", sides, promise, rounds=15, promised={"avalanche": 8.0})


def whole_run(images: Dataset) -> Benchmark:
    """A run of 5 permutations of 2,000 + 400 embedded digits, 4 epochs each, as a user starts it."""

    def engine(name: str) -> Callable[[], int]:
        def work() -> int:
            train.run(Settings(**{**vars(RUN), "engine": name}), images)
            return 1

        return work

    sides = {
        "fused": engine("fused"),
        "plain loop": lambda: plain_run(images),
        "reference": engine("reference"),
    }
    name = "run of 5 tasks × 4 epochs × 200 batches"
    promised = {"plain loop": 10.0}
    return Benchmark(name, "run", sides, "≥ 10× the plain loop", rounds=3, promised=promised)


def plain_run(images: Dataset) -> int:
    """The same algorithm, written down plainly in torch; returns 1 run."""
    import torch

    from ta_agem_repro.agem import AGEMHandler
    from ta_agem_repro.loader import Batches

    rng = np.random.default_rng(0)
    made = streams.build(RUN, images, rng)
    model = network(initial_layers(rng, input_dim=RUN.input_dim, hidden_dim=RUN.hidden_dim))
    optimizer = torch.optim.SGD(model.parameters(), lr=RUN.learning_rate)
    agem = AGEMHandler(model, torch.nn.CrossEntropyLoss(), optimizer, "cpu")
    memory = ClusteringMemory(RUN.memory_size_q, RUN.memory_size_p, num_pools=RUN.num_pools)
    tests = [Batches(task.x_test, task.y_test, RUN.batch_size, None) for task in made]
    for number, task in enumerate(made):
        loader = Batches(task.x_train, task.y_train, RUN.batch_size, rng)
        for _ in range(RUN.epochs_per_task[number]):
            for x, y in loader:
                agem.optimize(x, y, memory.get_random_samples(RUN.batch_size))
            for x, y in loader:
                memory.add_sample(x[0], y[0], number)
            with torch.no_grad():
                for test in tests[: number + 1]:
                    sum(int((model(x).argmax(1) == y).sum()) for x, y in test)
    return 1


def feeding(images: Dataset) -> Benchmark:
    """Offering samples to a full memory."""
    return Benchmark(
        "offer to a full memory of 10 pools", "offer", {"clusters": offering(images, 3)}, rounds=9
    )


def scalings() -> Iterator[Scaling]:
    """Yields how the cost of the memory grows."""
    images = load_images("mnist_quick")
    yield Scaling(
        "offer to a full memory of 10 pools",
        "samples kept per cluster",
        "offer",
        (3, 10, 30, 100),
        {"clusters": lambda size: offering(images, size)},
    )


def offering(images: Dataset, size: int) -> Callable[[], int]:
    """Returns a function that offers 100 samples to a full memory of 10 pools with `size` per cluster."""
    rows, labels = flat(images)[:2]
    x = rows.astype(np.float32) / np.float32(255)
    memory = ClusteringMemory(10, size, rng=np.random.default_rng(0))
    n_full = 3000 * max(1, size // 3)
    for i in range(n_full):
        memory.add(x[i % len(x)], int(labels[i % len(x)]), 0)
    place = iter(range(10**9))

    def work() -> int:
        for _ in range(100):
            i = next(place) % len(x)
            memory.add(x[i], int(labels[i]), 1)
        return 100

    return work
