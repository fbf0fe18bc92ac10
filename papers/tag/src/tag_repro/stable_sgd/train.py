"""Stable SGD: tasks one after the other with a rate that falls from task to task; resumable after every task.

The whole method is the regimen: a large first rate, decayed per task, dropout, small batches.
Source: Mirzadeh et al. 2020; spec section 4.
"""

import time
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clrepro.io.checkpoint import RunDir
from clrepro.metrics import continual
from clrepro.metrics.divergence import check_size
from clrepro.progress import Progress
from clrepro.seeding import Seeds
from tag_repro.batches import Images, Labels, batches_of
from tag_repro.evaluation import IMAGE_TEST_BATCH, TEST_BATCH
from tag_repro.stable_sgd.learners import StableLearner, make_learner
from tag_repro.stable_sgd.settings import StableSettings
from tag_repro.task_stream import TaskStream

Matrix = NDArray[np.float64]
TOP = 3  # eigenvalues


@dataclass
class StableResult:
    """What a run measured.

    accuracy, loss — float64 (T, T), [after task, on task], fractions and nats, nan where not evaluated;
    displacement — |theta_t - theta_0| after each task, theta_0 the parameters after the first, (T,);
    eigenvalues — of the Hessian of the loss on the present task's test images, (T, 3), nan if not asked for;
    seconds — training and evaluation of each task, (T,).
    """

    settings: StableSettings
    checksums: dict[str, str]
    accuracy: Matrix
    loss: Matrix
    displacement: NDArray[np.float64]
    eigenvalues: Matrix
    seconds: NDArray[np.float64]
    done: int = 0
    vectors: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """Returns A, F (maximum including the last row, as the original), F_signed, LA and BWT, fractions."""
        r = np.nan_to_num(self.accuracy)
        out = {
            "A": continual.average_accuracy(r),
            "F": continual.forgetting_with_last(r),
            "F_signed": continual.forgetting(r),
            "LA": continual.learning_accuracy(r),
            "BWT": continual.backward_transfer(r),
            "displacement": float(self.displacement[-1]),
        }
        for k in range(TOP):
            out[f"lambda{k + 1}"] = float(self.eigenvalues[-1, k])
        return out


class Listener(Protocol):
    """What the loop tells whoever prints or writes files."""

    def started(self, settings: StableSettings) -> None:
        """Before the first task."""

    def task(self, number: int, rate: float) -> None:
        """Before each task."""

    def evaluated(self, result: StableResult, task: int, learner: StableLearner) -> None:
        """After each task, when all its entries are in the result."""


def run(
    settings: StableSettings, task_stream: TaskStream, seeds: Seeds, *, checkpoint: RunDir | None = None,
    listener: Listener | None = None, learner: StableLearner | None = None, progress: Progress | None = None,
) -> StableResult:  # fmt: skip
    """Train on all tasks, or on those that a checkpoint has left.

    Args: seeds — streams "init", "shuffle", "dropout"; checkpoint — folder of this run alone; learner — who
        learns, made with the same seeds (default: as the settings' engine says).
    Raises: FloatingPointError if the network has diverged.
    """
    tasks = len(task_stream.stream)
    empty = np.full((tasks, tasks), np.nan)
    result = StableResult(
        settings, task_stream.checksums, empty, empty.copy(), np.zeros(tasks), np.full((tasks, TOP), np.nan),
        np.zeros(tasks),
    )  # fmt: skip
    learner = learner or make_learner(settings, task_stream, seeds)
    start = _resume(result, learner, seeds, checkpoint)
    if listener is not None:
        listener.started(settings)
    shuffle = seeds.generator("shuffle")
    with (progress or Progress.silent()).run(tasks, result.done) as course:
        for number in range(result.done, tasks):
            began = time.perf_counter()
            learner.begin_task(number)
            if listener is not None:
                listener.task(number, learner.rate)
            x, y = task_stream.training(number)
            for epoch in range(settings.epochs_per_task):
                order = shuffle.permutation(len(y))
                loss = one_epoch(learner, x, y, number, order, settings.batch_size)
                check_size(loss, f"its losses in task {number + 1}", "lower --lr")
                course.at(number + (epoch + 1) / (settings.epochs_per_task + 1))  # then the evaluation
            _evaluate(result, learner, task_stream, number)
            start = learner.vector() if start is None else start
            result.displacement[number] = np.linalg.norm(learner.vector() - start)
            if settings.compute_eigenspectrum:
                _spectrum(result, learner, task_stream, number, seeds)
            result.seconds[number] = time.perf_counter() - began
            result.done = number + 1
            if listener is not None:
                listener.evaluated(result, number, learner)
            # Last: a run that is killed before it does the task again, files and all.
            if checkpoint is not None:
                checkpoint.save_state("task", _state(result, learner, seeds, start))
            course.at(number + 1)
    return result


def one_epoch(
    learner: StableLearner, x: Images, y: Labels, task: int, order: Labels, batch_size: int
) -> float:
    """Learn all images of a task in the given order; returns the mean loss.

    Args: x — uint8 (n, inputs); y — (n,), numbered over all tasks.
    """
    learner.begin_epoch()
    total = 0.0
    for indices in batches_of(order, batch_size):
        total += float(learner.observe(x[indices], y[indices], task).sum()) * indices.shape[1]
    return total / len(order)


def evaluate(
    learner: StableLearner, task_stream: TaskStream, x: Images, y: Labels, task: int
) -> tuple[float, float]:
    """Returns accuracy as a fraction, and the mean cross-entropy per image; y — labels of the task."""
    low = task_stream.outputs(task)[0]
    size = TEST_BATCH if task_stream.shape is None else IMAGE_TEST_BATCH
    right, loss = 0, 0.0
    for start in range(0, len(y), size):
        part = slice(start, start + size)
        found = learner.score(learner.predict(x[part], task), y[part] - low)
        right, loss = right + found[0], loss + found[1]
    return right / len(y), loss / len(y)


def _evaluate(result: StableResult, learner: StableLearner, task_stream: TaskStream, number: int) -> None:
    """Fill row `number` of both matrices: the tasks seen so far."""
    for seen in range(number + 1):
        x, y = task_stream.test(seen)
        found = evaluate(learner, task_stream, x, y, seen)
        result.accuracy[number, seen], result.loss[number, seen] = found
        normalised, what = task_stream.shape is not None, f"its losses on task {seen + 1}"
        check_size(result.loss[number, seen], what, "lower --lr", normalised=normalised)


def _spectrum(
    result: StableResult, learner: StableLearner, task_stream: TaskStream, number: int, seeds: Seeds
) -> None:
    """Note the three eigenvalues of largest size of the loss on the present task's test images."""
    from tag_repro.hessian.curvature import top_eigenpairs

    seed = seeds.integer(f"eigen/{number}")
    values, vectors = top_eigenpairs(learner.module(), task_stream, number, TOP, seed)
    result.eigenvalues[number], result.vectors[number] = values, vectors


def _state(
    result: StableResult, learner: StableLearner, seeds: Seeds, start: NDArray[np.float32]
) -> dict[str, Any]:
    names = ("accuracy", "loss", "displacement", "eigenvalues", "seconds")
    return {
        "learner": learner.state(), "seeds": seeds.state(), "start": start, "done": result.done,
        **{name: getattr(result, name) for name in names},
    }  # fmt: skip


def _resume(
    result: StableResult, learner: StableLearner, seeds: Seeds, checkpoint: RunDir | None
) -> NDArray[np.float32] | None:
    """Continue from the checkpoint, if there is one; returns the parameters after the first task."""
    saved = checkpoint.load_state("task") if checkpoint is not None else None
    if saved is None:
        return None
    learner.load(saved["learner"])
    seeds.load(saved["seeds"])
    for name in ("accuracy", "loss", "displacement", "eigenvalues", "seconds"):
        getattr(result, name)[...] = saved[name]
    result.done = int(saved["done"])
    return np.asarray(saved["start"], np.float32)
