"""The loop: epochs of A-GEM steps, samples offered to the memory, evaluation; resumable after every epoch."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clrepro.io.checkpoint import RunDir
from clrepro.metrics.divergence import check_size
from clrepro.progress import Course, Progress
from clrepro.seeding import Seeds
from clrepro.streams import order
from ta_agem_repro import tasks as task_images
from ta_agem_repro.batches import Feeder
from ta_agem_repro.history import Journal
from ta_agem_repro.learner import FusedLearner, initial_layers
from ta_agem_repro.learning_rate import TALearningRateScheduler
from ta_agem_repro.result import Epoch, Result
from ta_agem_repro.settings import Settings
from ta_agem_repro.tasks import Images

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

    def __init__(self, settings: Settings, images: Images, checkpoint: RunDir | None = None) -> None:
        self.settings, self.checkpoint = settings, checkpoint
        self.times: dict[str, list[float]] = {}
        with self.timed("init"):
            self.seeds = Seeds(settings.seed)
            self.tasks = task_images.build(settings, images, self.seeds.generator("data"))
            epochs = schedule(settings, self.seeds.generator("data"))
            self.learner = learner(settings, self.seeds.generator("init"))
            self.feeder = Feeder(settings, self.seeds, self.learner, self.tasks, epochs)
            self.scheduler = TALearningRateScheduler(lr_init=settings.learning_rate)
            self.tests = [np.ascontiguousarray(task.x_test) / np.float32(255) for task in self.tasks]
            sizes = [len(task.y_test) for task in self.tasks]
            self.journal = Journal(settings, epochs, sizes, images.checksums)
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
            listener.started(self.settings, self.journal.result.data)
        begun, done = progress or Progress.silent(), self.journal.position / self.n_epochs
        course = begun.run(len(self.tasks), done * len(self.tasks), finished=self.journal.finished)
        while self.journal.position < self.n_epochs:
            self.one_epoch(listener, course)
            if self.journal.close_epoch() and listener is not None:
                listener.task(self.journal.finish(self.feeder))
            self.tell(course)
            self.save_now_and_then()
        result = self.journal.finish(self.feeder)
        result.parameters, result.times = self.learner.layers(), self.times
        return result

    def tell(self, course: Course, part: float = 0.0) -> None:
        """Tell how far the run is, with a part of the present epoch: epochs of several tasks may be mixed, so
        their number decides.
        """
        done = (self.journal.position + part) / self.n_epochs
        course.at(done * len(self.tasks), course.finished if part else self.journal.finished)

    def one_epoch(self, listener: Listener | None, course: Course) -> None:
        """A pass over the present epoch's batches, the memory's share of it, and the evaluation."""
        settings, journal = self.settings, self.journal
        with self.timed("training"):
            batches = self.feeder.open(journal.present)
        with self.timed("get from memory"):
            slots = self.feeder.reference_batches(len(batches))
        for start, stop in stretches(settings, len(batches)):
            losses = self.steps(batches[start:stop], None if slots is None else slots[start:stop])
            journal.batches(start, losses)
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

    def steps(self, indices: Indices, slots: Indices | None) -> list[float]:
        """One A-GEM step per batch, with a reference batch drawn now if `slots` is None; returns the losses
        before them.
        """
        if slots is None:
            with self.timed("get from memory"):
                slots = self.feeder.reference_batch()[None]
        with self.timed("optimize", len(indices)):
            rate = self.settings.learning_rate
            if self.settings.use_learning_rate_scheduler:
                rate = self.scheduler.step(self.learner.loss(indices[0]))
            done = self.learner.steps(indices, slots, rate)
        if slots.shape[1]:
            for _, gr, rr, gg in done.tolist():
                self.journal.projection(gr, rr, gg)
        return list(done[:, 0].tolist())

    def evaluate(self, listener: Listener | None) -> None:
        """Count right answers on the test images of every task seen; training time stops meanwhile.

        Raises: FloatingPointError if the network has diverged.
        """
        right = {}
        with self.timed("eval"):
            for task in self.journal.seen:
                logits = self.learner.logits(self.tests[task])
                check_size(
                    float(np.abs(logits).max()), f"its outputs for task {task}", "lower the learning_rate"
                )
                right[task] = int((logits.argmax(1) == self.tasks[task].y_test).sum())
        scheduled = self.settings.use_learning_rate_scheduler
        rate = self.scheduler.get_lr() if scheduled else self.settings.learning_rate
        spent = sum(sum(self.times.get(key, [])) for key in TRAINING)
        entry = self.journal.evaluation(right, self.feeder, rate, spent)
        if listener is not None:
            listener.epoch(entry, self.n_epochs)

    def save_now_and_then(self) -> None:
        """Write a checkpoint if the last one is old enough."""
        if self.checkpoint is not None and time.perf_counter() - self._saved_at >= CHECKPOINT_EVERY:
            self.checkpoint.save_state("epoch", self.state())
            self._saved_at = time.perf_counter()

    def state(self) -> dict[str, Any]:
        """Returns all that the rest of the run depends on."""
        return {
            "seeds": self.seeds.state(),
            "learner": self.learner.state(),
            "memory": self.feeder.state(),
            "scheduler": self.scheduler.state(),
            "journal": self.journal.state(),
            "times": {key: sum(spent) for key, spent in self.times.items()},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.learner.load(state["learner"])
        self.feeder.load(state["memory"])
        self.scheduler.load(state["scheduler"])
        self.journal.load(state["journal"])
        self.seeds.load(state["seeds"])
        self.times = {key: [float(spent)] for key, spent in state["times"].items()}


def run(
    settings: Settings,
    images: Images,
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
    """Yields (start, stop) of the batches between two pauses, in which the loop draws from a memory that
    changes, sets the rate, tells how far the run is, or evaluates.
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


def learner(settings: Settings, rng: np.random.Generator) -> Any:
    """Returns the learner of the engine asked for: fused, or plain torch (always so on a GPU)."""
    layers = initial_layers(settings, rng)
    if settings.engine == "reference" or (settings.engine == "auto" and settings.device != "cpu"):
        from ta_agem_repro.reference import ReferenceLearner

        return ReferenceLearner(layers, settings.memory_capacity, settings.device)
    return FusedLearner(layers, settings.memory_capacity)
