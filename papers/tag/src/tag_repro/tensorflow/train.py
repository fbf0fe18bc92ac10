"""The loop of both TensorFlow programs: tasks one after the other, evaluated when each ends; resumable."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from clrepro.adapters import tf as adapter
from clrepro.io.checkpoint import RunDir
from clrepro.metrics import continual
from clrepro.progress import Course, Progress
from clrepro.seeding import Seeds
from clrepro.settings import keywords
from tag_repro.task_stream import TaskStream
from tag_repro.tensorflow.methods import METHODS
from tag_repro.tensorflow.methods.van import VAN
from tag_repro.tensorflow.networks import MLP, Dropout, ResNetS
from tag_repro.tensorflow.settings import CONV, TfSettings
from tag_repro.tensorflow.streams import mean_image

TEST_BATCH = 500
STEPS_PER_CALL = 50
WIDTHS = {"FC-S": 256, "FC-B": 2000}


@dataclass
class TfResult:
    """What a run measured.

    accuracy — float64 (T, T), [after task, on task], fractions, nan where not evaluated; snapshots — rows
    (task, step of the task, accuracy on every task) of --eval-every; seconds — (T,), with evaluation;
    test_seconds — (T,), of evaluation alone.
    """

    accuracy: NDArray[np.float64]
    seconds: NDArray[np.float64]
    test_seconds: NDArray[np.float64]
    snapshots: list[NDArray[np.float64]] = field(default_factory=list)
    done: int = 0

    def metrics(self) -> dict[str, float]:
        """Returns A, F, F_signed, LA and BWT as fractions; after cross-validation A alone."""
        r = self.accuracy
        if np.isnan(np.diagonal(r)).any():
            return {"A": continual.average_accuracy(r)}
        return {
            "A": continual.average_accuracy(r),
            "F": continual.forgetting_with_last(r),
            "F_signed": continual.forgetting(r),
            "LA": continual.learning_accuracy(r),
            "BWT": continual.backward_transfer(r),
        }


class Listener(Protocol):
    """What the loop tells whoever prints."""

    def task(self, result: TfResult, number: int) -> None:
        """After each task."""


class Run:
    """One run: network, method, and where it stands.

    Args: seeds — streams "init", "shuffle", "memory" and "dropout"; checkpoint — folder of this run alone.
    """

    def __init__(
        self, settings: TfSettings, task_stream: TaskStream, seeds: Seeds, checkpoint: RunDir | None = None
    ) -> None:
        self.settings, self.task_stream = settings, task_stream
        self.seeds, self.checkpoint = seeds, checkpoint
        self.generator = adapter.generator(seeds.integer("dropout"))
        self.network = make_network(settings, task_stream, self.generator, seeds.generator("init"))
        self.method = make_learner(settings, self.network, task_stream, seeds.generator("memory"))
        self.steps = 0
        tasks = settings.trained_tasks
        self.result = TfResult(np.full((tasks, tasks), np.nan), np.zeros(tasks), np.zeros(tasks))

    def train(self, listener: Listener | None = None, progress: Progress | None = None) -> TfResult:
        """Do what is left of the run; returns the result."""
        if self.checkpoint is not None and (saved := self.checkpoint.load_state("task")) is not None:
            self.load(saved)
        course = (progress or Progress.silent()).run(self.settings.trained_tasks, self.result.done)
        for number in range(self.result.done, self.settings.trained_tasks):
            began = time.perf_counter()
            self._learn(number, course)
            self.method.end_task(number)
            self._check_weights(number)
            last = number + 1 == self.settings.trained_tasks
            if last or not self.settings.cross_validate_mode:
                self.result.accuracy[number] = self._accuracies(number)
            self.result.seconds[number] = time.perf_counter() - began
            self.result.done = number + 1
            if self.checkpoint is not None:
                self.checkpoint.save_state("task", self.state())
            if listener is not None:
                listener.task(self.result, number)
            course.at(number + 1)
        return self.result

    def _learn(self, number: int, course: Course) -> None:
        """Train a task."""
        settings, step = self.settings, 0
        x, y = self.task_stream.training(number)
        for indices in self._batches(len(y)):  # (steps, batch): as many steps as one call may take
            self.method.optimizer.set_rate(settings.rate(number, self.steps))
            losses = self.method.observe(x[indices], y[indices], number)
            if not np.isfinite(losses).all():
                raise FloatingPointError(f"the loss is no number in task {number + 1}; lower --learning-rate")
            step, self.steps = step + len(losses), self.steps + len(losses)
            course.at(number + step / (self._wanted(len(y)) + 1))  # then the evaluation
            if settings.eval_every and step % settings.eval_every == 0:
                row = [number, step, *self._accuracies(number)]
                self.result.snapshots.append(np.array(row, np.float64))

    def _check_weights(self, number: int) -> None:
        """Raises: FloatingPointError if the last step of a task has left weights that are no numbers."""
        for weight in self.network.weights:
            if not np.isfinite(weight.numpy()).all():
                raise FloatingPointError(
                    f"the network has diverged: weights are no numbers after task {number + 1}; "
                    "lower --learning-rate"
                )

    def _batches(self, n: int) -> Iterator[NDArray[np.int64]]:
        """The batches of a task of n images, drawn anew for every epoch: one epoch, or train_iters batches.

        Yields: int64 (steps, batch), indices; up to the next test or change of the rate.
        """
        settings, shuffle, step = self.settings, self.seeds.generator("shuffle"), 0
        chosen = shuffle.permutation(n)[: settings.examples_per_task]
        wanted = self._wanted(n)
        while step < wanted:
            for rows in equal_batches(chosen, settings.batch_size):
                while len(rows) and step < wanted:
                    ends = [STEPS_PER_CALL, wanted - step]
                    if settings.eval_every:
                        ends.append(settings.eval_every - step % settings.eval_every)
                    if settings.decay_every:
                        ends.append(settings.decay_every - self.steps % settings.decay_every)
                    now, rows = rows[: min(ends)], rows[min(ends) :]
                    step += len(now)
                    yield now
            chosen = shuffle.permutation(chosen)

    def _wanted(self, n: int) -> int:
        """Returns the batches of a task of n images."""
        settings = self.settings
        if settings.train_single_epoch:
            return -(-len(range(n)[: settings.examples_per_task]) // settings.batch_size)
        return settings.train_iters

    def _accuracies(self, number: int) -> NDArray[np.float64]:
        """Accuracy on the tasks up to `number`, (T,), nan for those to come."""
        began = time.perf_counter()
        row = np.full(self.settings.trained_tasks, np.nan)
        for seen in range(number + 1):
            x, y = self.task_stream.test(seen)
            labels, right = self.task_stream.numbered(seen, y) - self.task_stream.outputs(seen)[0], 0
            for start in range(0, len(y), TEST_BATCH):
                part = slice(start, start + TEST_BATCH)
                right += int((self.method.predict(x[part], seen).argmax(1) == labels[part]).sum())
            row[seen] = right / len(y)
        self.result.test_seconds[number] += time.perf_counter() - began
        return row

    def state(self) -> dict[str, Any]:
        """Returns all that the rest of the run depends on."""
        result = self.result
        return {
            "method": self.method.state(), "seeds": self.seeds.state(), "steps": self.steps,
            "dropout": adapter.generator_state(self.generator), "accuracy": result.accuracy,
            "seconds": result.seconds, "test_seconds": result.test_seconds, "snapshots": result.snapshots,
            "done": result.done,
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.method.load(state["method"])
        self.seeds.load(state["seeds"])
        self.steps = int(state["steps"])
        adapter.load_generator_state(self.generator, state["dropout"])
        for name in ("accuracy", "seconds", "test_seconds"):
            getattr(self.result, name)[...] = state[name]
        self.result.snapshots = [np.array(row, np.float64) for row in state["snapshots"]]
        self.result.done = int(state["done"])


def make_learner(
    settings: TfSettings, network: Any, task_stream: TaskStream, rng: np.random.Generator
) -> VAN:
    """Returns the learner that --imp-method names, fresh; here the settings end: each argument comes from the
    field of its name.
    """
    kind = METHODS[settings.imp_method]
    return kind(network, task_stream, rng, **(keywords(VAN, settings) | keywords(kind, settings)))


def make_network(
    settings: TfSettings, task_stream: TaskStream, generator: tf.random.Generator, rng: np.random.Generator
) -> MLP | ResNetS:
    """Returns the network that --arch names, its weights drawn from rng."""
    dropout = Dropout(settings.dropout, generator)
    if settings.program == CONV:
        return ResNetS(task_stream.n_outputs, mean_image(task_stream), dropout, rng)
    width = WIDTHS[settings.arch]
    return MLP(task_stream.stream.n_inputs, width, task_stream.n_outputs, dropout, rng)


def equal_batches(chosen: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Returns the full batches (steps, size), then the rest (1, fewer) if there is one."""
    full = len(chosen) // size * size
    parts = [chosen[:full].reshape(-1, size), chosen[full:].reshape(1, -1)]
    return [part for part in parts if part.size]
