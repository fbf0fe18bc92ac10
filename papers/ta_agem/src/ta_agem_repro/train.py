"""The loop: epochs of A-GEM steps, samples offered to the memory, evaluation; resumable after every epoch."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clrepro.datasets import Dataset
from clrepro.io.checkpoint import RunDir
from clrepro.metrics.divergence import check_size
from clrepro.progress import Course, Progress
from clrepro.seeding import Seeds
from clrepro.settings import keywords
from clrepro.streams import order
from ta_agem_repro import streams
from ta_agem_repro.batches import Feeder
from ta_agem_repro.history import History
from ta_agem_repro.learner import make_learner
from ta_agem_repro.result import Epoch, Result
from ta_agem_repro.settings import Settings

CHECKPOINT_EVERY = 10.0  # seconds: a killed run repeats no more than that and one epoch
TELL_EVERY = 50  # batches
TRAINING = ("training", "get from memory", "optimize", "add samples")  # what training_time counts
Indices = NDArray[np.int64]


class Listener(Protocol):
    """What the loop tells whoever prints or logs; all of it happens after the fact and may be ignored."""

    def started(self, settings: Settings, data: dict[str, str]) -> None:
        """Before the first batch."""

    def epoch(self, epoch: Epoch, total: int) -> None:
        """After every evaluation."""

    def task(self, result: Result) -> None:
        """After the last epoch of a task."""


class Run:
    """One run in memory: what it learns, what it remembers, where it stands.

    Args: images — the data set; checkpoint — a folder to save to and to continue from.
    """

    def __init__(self, settings: Settings, images: Dataset, checkpoint: RunDir | None = None) -> None:
        self.settings, self.checkpoint = settings, checkpoint
        self.times: dict[str, list[float]] = {}
        with self.timed("init"):
            self.seeds = Seeds(settings.seed)
            self.tasks = streams.build(settings, images, self.seeds.generator("data"))
            epochs = schedule(settings, self.seeds.generator("data"))
            self.learner = make_learner(settings, self.seeds)
            shuffle = self.seeds.generator("shuffle")
            own = keywords(Feeder, settings)
            self.feeder = Feeder(self.learner, self.tasks, epochs, shuffle, **own)
            self.tests = [np.asarray(task.x_test / np.float32(255), np.float32) for task in self.tasks]
            sizes = [len(task.y_test) for task in self.tasks]
            self.history = History(settings, epochs, sizes, images.sha256)
            self.n_epochs = len(epochs)
        self._saved_at = time.perf_counter()
        if checkpoint is not None and (saved := checkpoint.load_state("epoch")) is not None:
            self.load(saved)

    @contextmanager
    def timed(self, key: str, parts: int = 1) -> Iterator[None]:
        """Note the seconds of a block under `key`, in `parts` equal shares."""
        start = time.perf_counter()
        yield
        spent = time.perf_counter() - start
        self.times.setdefault(key, []).extend([spent / parts] * parts)

    def train(self, listener: Listener | None = None, progress: Progress | None = None) -> Result:
        """Run the epochs that are left; returns the result."""
        if listener is not None:
            listener.started(self.settings, self.history.result.data)
        begun, done = progress or Progress.silent(), self.history.position / self.n_epochs
        course = begun.run(len(self.tasks), done * len(self.tasks), finished=self.history.finished)
        while self.history.position < self.n_epochs:
            self.one_epoch(listener, course)
            if self.history.close_epoch() and listener is not None:
                listener.task(self.history.finish(self.feeder))
            self.tell(course)
            self.save_now_and_then()
        result = self.history.finish(self.feeder)
        result.parameters, result.times = self.learner.engine.layers(), self.times
        return result

    def tell(self, course: Course, part: float = 0.0) -> None:
        """Tell how far the run is, with a part of the present epoch: epochs of several tasks may be mixed, so
        their number decides.
        """
        done = (self.history.position + part) / self.n_epochs
        course.at(done * len(self.tasks), course.finished if part else self.history.finished)

    def one_epoch(self, listener: Listener | None, course: Course) -> None:
        """A pass over the present epoch's batches, the memory's share of it, and the evaluation."""
        settings, history = self.settings, self.history
        with self.timed("training"):
            batches = self.feeder.open(history.present)
        if settings.memory_update == "epoch":  # it stays as it is for the whole epoch
            with self.timed("get from memory"):
                self.learner.draw(len(batches))
        for start, stop in stretches(settings, len(batches)):
            history.batches(start, self.steps(batches[start:stop]))
            if settings.memory_update == "batch":
                with self.timed("add samples"):
                    self.feeder.add_batch(batches[start], start)
            last = stop == len(batches)
            if stop % TELL_EVERY == 0:
                self.tell(course, stop / len(batches))
            interval = settings.testing_interval
            if interval and stop % interval == 0 and not last:
                self.evaluate(listener)
        if settings.memory_update == "epoch":
            with self.timed("add samples"):
                self.feeder.add_epoch()
        self.evaluate(listener)

    def steps(self, rows: Indices) -> list[float]:
        """One step per batch, rows of the open images; returns the losses before them."""
        if self.settings.memory_update == "batch":
            with self.timed("get from memory"):
                self.learner.draw(len(rows))
        with self.timed("optimize", len(rows)):
            done = self.learner.observe_rows(rows)
        if self.learner.referred:
            for _, gr, rr, gg in done.tolist():
                self.history.projection(gr, rr, gg)
        return list(done[:, 0].tolist())

    def evaluate(self, listener: Listener | None) -> None:
        """Count right answers on the test images of every task seen; training time stops meanwhile.

        Raises: FloatingPointError if the network has diverged.
        """
        right = {}
        with self.timed("eval"):
            for task in self.history.seen:
                logits = self.learner.predict(self.tests[task], task)
                check_size(
                    float(np.abs(logits).max()), f"its outputs for task {task}", "lower the learning_rate"
                )
                right[task] = int((logits.argmax(1) == self.tasks[task].y_test).sum())
        spent = sum(sum(self.times.get(key, [])) for key in TRAINING)
        entry = self.history.evaluation(right, self.feeder, self.learner.rate, spent)
        if listener is not None:
            listener.epoch(entry, self.n_epochs)

    def save_now_and_then(self) -> None:
        """Write a checkpoint if the last one is old enough."""
        if self.checkpoint is not None and time.perf_counter() - self._saved_at >= CHECKPOINT_EVERY:
            self.checkpoint.save_state("epoch", self.state())
            self._saved_at = time.perf_counter()

    def state(self) -> dict[str, Any]:
        """Returns all that the rest of the run depends on."""
        learner = self.learner.state()
        return {
            **learner,
            "memory": {"memory": learner["memory"], **self.feeder.state()} if "memory" in learner else {},
            "seeds": self.seeds.state(),
            "journal": self.history.state(),
            "times": {key: sum(spent) for key, spent in self.times.items()},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.learner.load({**state, "memory": state["memory"].get("memory")})
        if state["memory"]:
            self.feeder.load(state["memory"])
        self.history.load(state["journal"])
        self.seeds.load(state["seeds"])
        self.times = {key: [float(spent)] for key, spent in state["times"].items()}


def run(
    settings: Settings,
    images: Dataset,
    *,
    checkpoint: RunDir | None = None,
    listener: Listener | None = None,
    progress: Progress | None = None,
) -> Result:
    """Train as the settings say.

    Args: checkpoint — folder of this run alone; what is found there is continued.
    Returns: the finished result.  Raises: DataError if the images do not suffice for the tasks.
    """
    return Run(settings, images, checkpoint).train(listener, progress)


def stretches(settings: Settings, batches: int) -> Iterator[tuple[int, int]]:
    """Yields (start, stop) of the batches that are learnt in one call: between them the loop draws from a
    memory that has changed, sets the rate, tells how far the run is, or evaluates.
    """
    if settings.memory_update == "batch" or settings.use_learning_rate_scheduler:
        yield from ((number, number + 1) for number in range(batches))
        return
    points = {*range(0, batches, TELL_EVERY), batches}
    if settings.testing_interval:
        points.update(range(0, batches, settings.testing_interval))
    yield from itertools.pairwise(sorted(points))


def schedule(settings: Settings, rng: np.random.Generator) -> list[order.Epoch]:
    """Returns the epochs of a run in order (spec 3.7)."""
    per_task = settings.epochs_per_task
    return order.schedule(
        settings.task_introduction, settings.num_tasks,
        per_task[0] if len(set(per_task)) == 1 else list(per_task),
        n_transition=settings.num_transition_epochs, rng=rng,
    )  # fmt: skip
