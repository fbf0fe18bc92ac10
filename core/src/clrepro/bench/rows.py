"""The core's own benchmarks: prioritised replay beside cpprb; how the costs of buffers and sweep grow."""

import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clrepro.bench.benchmark import Benchmark
from clrepro.bench.scaling import Scaling
from clrepro.buffers import Columns, Prioritized, Reservoir

CAPACITY, BATCH = 1_000_000, 256
OBSERVATION, ACTION = 28, 8  # as wide as HVCL's padded spaces
FIELDS = {"obs": OBSERVATION, "act": ACTION, "rew": 1, "next_obs": OBSERVATION, "done": 1}


def benchmarks() -> Iterator[Benchmark]:
    """Yields the core's speed rows."""
    ours = Replay(CAPACITY)
    peers = {"cpprb": Cpprb(CAPACITY)} if importlib.util.find_spec("cpprb") else {}
    sides: dict[str, Any] = {"clrepro": ours, **peers}
    add = {name: side.add for name, side in sides.items()}
    draw = {name: side.sample for name, side in sides.items()}
    yield Benchmark("storing 1000 transitions in a full prioritised replay of 1,000,000", "transition", add)
    yield Benchmark(
        "drawing 256 of 1,000,000 by priority, with weights and rows, and updating them", "transition", draw
    )


def scalings() -> Iterator[Scaling]:
    """Yields how the core's costs grow."""
    yield Scaling(
        "drawing 256 by priority",
        "transitions stored",
        "transition",
        (1_000, 10_000, 100_000, 1_000_000),
        {"clrepro": lambda n: Replay(n).sample, "cpprb": _cpprb},
    )
    yield Scaling(
        "reservoir: offering 1000 items and storing what is kept",
        "slots",
        "item",
        (100, 1_000, 10_000, 100_000),
        {"clrepro": _reservoir},
    )
    yield Scaling(
        "finding finished runs again", "runs done before", "run", (10, 100, 1_000), {"cl-repro": _resume}
    )


class Replay:
    """Our prioritised replay with rows of numpy columns, full."""

    def __init__(self, capacity: int) -> None:
        self._policy = Prioritized(capacity, 0.6, np.random.default_rng(0))
        self._columns = Columns(capacity, {name: ((n,), np.float32) for name, n in FIELDS.items()})
        self._rows = _rows(1000)
        for _ in range(-(-capacity // 1000)):
            self.add()
        self._policy.update(np.arange(capacity), np.random.default_rng(1).random(capacity) + 0.01)

    def add(self) -> int:
        """Store 1000 transitions."""
        self._columns.write(self._policy.add(1000), **self._rows)
        return 1000

    def sample(self) -> int:
        """Draw ten batches, read them and give them new priorities."""
        for _ in range(10):
            slots, _ = self._policy.sample(BATCH, 0.4)
            self._columns.read(slots)
            self._policy.update(slots, np.ones(BATCH))
        return 10 * BATCH


class Cpprb:
    """The same with cpprb's C++ buffer."""

    def __init__(self, capacity: int) -> None:
        from cpprb import PrioritizedReplayBuffer

        shapes = {name: {"shape": n} for name, n in FIELDS.items()}
        self._buffer = PrioritizedReplayBuffer(capacity, shapes, alpha=0.6)
        self._rows = _rows(1000)
        for _ in range(-(-capacity // 1000)):
            self.add()
        priorities = np.random.default_rng(1).random(capacity) + 0.01
        self._buffer.update_priorities(np.arange(capacity), priorities)

    def add(self) -> int:
        """Store 1000 transitions."""
        self._buffer.add(**self._rows)
        return 1000

    def sample(self) -> int:
        """Draw ten batches, read them and give them new priorities."""
        for _ in range(10):
            batch = self._buffer.sample(BATCH, beta=0.4)
            self._buffer.update_priorities(batch["indexes"], np.ones(BATCH))
        return 10 * BATCH


def _cpprb(capacity: int) -> Callable[[], int] | None:
    return Cpprb(capacity).sample if importlib.util.find_spec("cpprb") else None


def _reservoir(capacity: int) -> Callable[[], int]:
    memory = Reservoir(capacity, np.random.default_rng(0))
    columns = Columns(capacity, {"x": ((784,), np.float32)})
    x = np.zeros((1000, 784), np.float32)

    def work() -> int:
        columns.write(memory.add(1000), x=x)
        return 1000

    for _ in range(2 * max(1, capacity // 1000)):
        work()
    return work


def _resume(n: int) -> Callable[[], int]:
    """Reading `n` records of a paper's size back, as a sweep does that was interrupted."""
    from clrepro.records import RunRecord
    from clrepro.sweep import Folder, Job, split

    folder = tempfile.TemporaryDirectory()
    store = Folder(Path(folder.name))
    jobs = [Job("core", "bench", "row", "m", seed, ["main.py"]) for seed in range(n)]
    for job in jobs:
        record = RunRecord(
            "core", "bench", "row", "m", job.seed, job.command, {}, job.settings_hash, {"ACC": 0.5},
            series={"R": np.zeros((20, 20)).tolist()},
        )  # fmt: skip
        store.save(record)

    def work(folder: tempfile.TemporaryDirectory[str] = folder) -> int:
        if split(jobs, store)[1]:
            raise RuntimeError(f"{folder.name}: records are missing")
        return n

    return work


def _rows(n: int) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(n, width)).astype(np.float32) for name, width in FIELDS.items()}
