"""The experiment: one pass over the tasks in order, evaluated as it goes.  Read `run`; the rest serves it."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clrepro.io.checkpoint import RunDir
from clrepro.metrics import continual
from clrepro.progress import Progress
from mer_repro.curve import Curve
from mer_repro.evaluate import Evaluator
from mer_repro.learner import Learner, make_method
from mer_repro.rngs import Rngs
from mer_repro.settings import Settings
from mer_repro.streams import TaskFile

if TYPE_CHECKING:
    import torch

CHECKPOINT_EVERY_S = 15.0  # at task boundaries only, where no method holds half a batch


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves: the evaluation rows of the original, the matrix R and the metrics drawn from it."""

    result_t: NDArray[np.float32]
    result_a: NDArray[np.float32]
    state_dict: "dict[str, torch.Tensor]"
    metrics: dict[str, float]
    matrix: NDArray[np.float64]
    baseline: NDArray[np.float64]
    order: list[int]
    train_s: float
    eval_s: float
    engine: str


@dataclass(frozen=True)
class Batch:
    """Consecutive examples of one task: x float32 (b, n_inputs), y int64 (b,); `place` counts tasks as
    presented, `share` is the part of the task that is behind.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    task: int
    place: int
    share: float


def run(
    settings: Settings,
    tasks: TaskFile,
    *,
    weights: "Mapping[str, torch.Tensor] | None" = None,
    checkpoint: RunDir | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Train and evaluate one learner on the whole sequence of tasks.

    Args: weights — a saved model to start from; checkpoint — folder to save to at task boundaries and to
        continue from; the continuation is exact.
    Raises: FloatingPointError if the learner has diverged; the checkpoint of the task before stays.
    Source: contract 2.6 (continuum) and 2.7 (evaluation timing).
    """
    # What overflows ends below in one line of ours, not in numpy's warnings.
    with threadpool_limits(1), np.errstate(over="ignore", invalid="ignore"):
        rngs = Rngs(settings.seed)
        continuum = Continuum(settings, tasks, rngs)
        method = make_method(settings, tasks.n_inputs, tasks.n_outputs, tasks.n_tasks, rngs)
        learner = Learner(method, tasks.n_inputs, tasks.n_tasks)
        if weights is not None:
            learner.start_from(weights, settings.init_from)
        curve = Curve(
            settings.eval_policy, settings.log_every, continuum.order, Evaluator(tasks, settings.legacy_eval)
        )
        clock = Clock()
        first = restore(checkpoint, learner, rngs, curve, clock)
        course = (progress or Progress.silent()).run(tasks.n_tasks, first)
        for batch in continuum.batches(first):
            if curve.due(batch.task):
                with clock.evaluating():
                    curve.add(method, batch.task)
                if curve.closed_task:
                    learner.check_finite(batch.place)
                if curve.closed_task and clock.due():
                    save(checkpoint, batch.place, learner, rngs, curve, clock)
                course.at(batch.place + batch.share)
            method.observe(batch.x, batch.y, batch.task)
            curve.observed(batch.task)
        with clock.evaluating():
            curve.close(method)
        learner.check_finite(tasks.n_tasks)
        course.at(tasks.n_tasks)
    matrix, baseline = curve.matrix()
    return TrainResult(
        *curve.rows(),
        state_dict=learner.state_dict(),
        metrics=metrics(matrix, baseline, continuum.order),
        matrix=matrix,
        baseline=baseline,
        order=continuum.order,
        train_s=clock.total() - clock.eval_s,
        eval_s=clock.eval_s,
        engine=method.network(0)[0].name if hasattr(method, "network") else "torch",
    )


def metrics(matrix: NDArray[np.float64], baseline: NDArray[np.float64], order: list[int]) -> dict[str, float]:
    """Returns RA, LA, BTI, FWT as fractions.

    The matrix has presentation order on both axes here: column order[p] of R moves to column p.
    Source: contract 4; for tasks in file order these are the original's three printed numbers and LA = RA -
    BTI.
    """
    r, b = matrix[:, order], baseline[order]
    return {
        "RA": continual.average_accuracy(r),
        "LA": continual.learning_accuracy(r),
        "BTI": continual.backward_transfer_over_all(r),
        "FWT": continual.forward_transfer_over_all(r, b),
    }


class Continuum:
    """The order of tasks, the examples drawn for each, and their order in every epoch.

    Draws from the generators in the original's order: task order, then one permutation per task in file
    order (torch), then one shuffle per task and epoch in order of presentation (python).
    """

    def __init__(self, settings: Settings, tasks: TaskFile, rngs: Rngs) -> None:
        import torch

        self._tasks, self._batch_size = tasks, settings.batch_size
        self.order = list(range(tasks.n_tasks))
        if settings.shuffle_tasks:
            self.order = torch.randperm(tasks.n_tasks, generator=rngs.torch).tolist()
        chosen = []
        for t in range(tasks.n_tasks):
            available = tasks.train_size(t)
            n = available if settings.samples_per_task <= 0 else min(settings.samples_per_task, available)
            chosen.append(torch.randperm(available, generator=rngs.torch)[:n].numpy())
        self._indices = []
        for t in self.order:
            epochs = []
            for _ in range(settings.n_epochs):
                one = chosen[t].tolist()
                rngs.python.shuffle(one)
                epochs.extend(one)
            self._indices.append(np.array(epochs, np.int64))

    def batches(self, first: int = 0) -> Iterator[Batch]:
        """Yields the batches from the first-th presented task on; none crosses a task boundary."""
        for place in range(first, len(self.order)):
            t, indices = self.order[place], self._indices[place]
            x, y = self._tasks.train_rows(t, indices), self._tasks.train_labels(t, indices)
            for at in range(0, len(indices), self._batch_size):
                end = at + self._batch_size
                yield Batch(x[at:end], y[at:end], t, place, at / len(indices))


class Clock:
    """Wall seconds of training and of evaluation, carried over checkpoints."""

    def __init__(self) -> None:
        self._start = self._saved = time.perf_counter()
        self.before = self.eval_s = 0.0

    def total(self) -> float:
        """Seconds since the run began, interruptions left out."""
        return self.before + time.perf_counter() - self._start

    def evaluating(self) -> "Clock":
        """Use as a context: time inside counts as evaluation."""
        return self

    def __enter__(self) -> None:
        self._entered = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.eval_s += time.perf_counter() - self._entered

    def due(self) -> bool:
        """True if the last checkpoint is long enough ago."""
        return time.perf_counter() - self._saved > CHECKPOINT_EVERY_S

    def saved(self) -> None:
        """Told that a checkpoint was written."""
        self._saved = time.perf_counter()


def save(
    checkpoint: RunDir | None, place: int, learner: Learner, rngs: Rngs, curve: Curve, clock: Clock
) -> None:
    """Write parameters, memory, generators and evaluation rows, as they are before the place-th presented
    task.
    """
    if checkpoint is None:
        return
    state: dict[str, Any] = {"place": place, "learner": learner.method.state(), "rngs": rngs.state()}
    state |= {"curve": curve.state(), "total_s": clock.total(), "eval_s": clock.eval_s}
    checkpoint.save_state("checkpoint", state)
    clock.saved()


def restore(checkpoint: RunDir | None, learner: Learner, rngs: Rngs, curve: Curve, clock: Clock) -> int:
    """Continue from the checkpoint if there is one; returns the place of the task to go on with."""
    state = checkpoint.load_state("checkpoint") if checkpoint is not None else None
    if state is None:
        return 0
    learner.method.load(state["learner"])
    rngs.load(state["rngs"])
    curve.load(state["curve"])
    clock.before, clock.eval_s = float(state["total_s"]), float(state["eval_s"])
    return int(state["place"])
