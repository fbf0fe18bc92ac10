"""The arena's one training loop: task after task, all seen ones measured after each."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.arena.contract import Contestant
from clrepro.arena.streams import ArenaStream
from clrepro.io.checkpoint import RunDir
from clrepro.metrics import AccuracyMatrix, continual

EVAL_ROWS = 1000  # examples that `predict` gets at once
SAVE_S = 30.0  # a run is saved after a task if it was not for so long


class OverBudget(TimeoutError):
    """A run took more seconds of training than it was given."""


@dataclass(frozen=True)
class Result:
    """matrix — R float64 (T, T), fractions, nan above the diagonal; seconds of training and of measuring;
    memory_bytes — what the method keeps at the end, nan if it does not say.
    """

    matrix: NDArray[np.float64]
    train_s: float
    eval_s: float
    memory_bytes: float

    def metrics(self) -> dict[str, float]:
        """Returns the numbers of the table, fractions, and bytes."""
        return {name: function(self.matrix) for name, function in METRICS.items()} | {
            "memory_bytes": self.memory_bytes
        }


MAIN = "final_accuracy"  # what methods are compared by
METRICS = {
    "final_accuracy": continual.average_accuracy,
    "learning_accuracy": continual.learning_accuracy,
    "backward_transfer": continual.backward_transfer,
    "forgetting": continual.forgetting,
}


def train(
    contestant: Contestant,
    stream: ArenaStream,
    budget_s: float = float("inf"),
    checkpoint: RunDir | None = None,
) -> Result:
    """Train a method on a stream and measure it after every task.

    Args: budget_s — most seconds of training; checkpoint — folder of this run: one that was broken off goes
        on from the last task saved there, if the method can be restored.
    Raises: OverBudget; FloatingPointError if it diverges; RuleBroken; what the method itself raises.
    """
    # What overflows ends in a line of ours, not in numpy's warnings.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _train(contestant, stream, budget_s, checkpoint)


def _train(
    contestant: Contestant, stream: ArenaStream, budget_s: float, checkpoint: RunDir | None
) -> Result:
    n = stream.plan.presented
    matrix, kept = AccuracyMatrix(n), checkpoint if contestant.can_restore else None
    first, train_s, eval_s = _resume(contestant, matrix, kept)
    saved = time.perf_counter()
    for task in range(first, n):
        began = time.perf_counter()
        _learn(contestant, stream, task, began + budget_s - train_s)
        learned = time.perf_counter()
        train_s += learned - began
        matrix.record(task, [accuracy(contestant, stream, seen) for seen in range(task + 1)])
        eval_s += time.perf_counter() - learned
        if kept is not None and task < n - 1 and time.perf_counter() - saved > SAVE_S:
            saved = time.perf_counter()
            kept.save_state("task", {
                "task": task + 1, "matrix": matrix.values, "train_s": train_s, "eval_s": eval_s,
                "method": contestant.method.state(),
            })  # fmt: skip
    return Result(matrix.values, train_s, eval_s, contestant.memory_bytes())


def _resume(
    contestant: Contestant, matrix: AccuracyMatrix, checkpoint: RunDir | None
) -> tuple[int, float, float]:
    """The first task to learn, and seconds spent; the matrix and the method are put where they were."""
    saved = checkpoint.load_state("task") if checkpoint is not None else None
    if saved is None:
        return 0, 0.0, 0.0
    matrix.values[...] = saved["matrix"]
    contestant.method.restore(saved["method"])
    return int(saved["task"]), float(saved["train_s"]), float(saved["eval_s"])


def _learn(contestant: Contestant, stream: ArenaStream, task: int, until: float) -> None:
    for x, y in stream.batches(task):
        contestant.observe(x, y, task)
        if time.perf_counter() > until:
            raise OverBudget(f"over budget in task {task + 1} of {stream.plan.presented}")
    contestant.end_task()


def accuracy(contestant: Contestant, stream: ArenaStream, task: int) -> float:
    """Returns the share of a task's test examples that get their label."""
    x, y = stream.tests(task)
    spec, right = contestant.spec, 0
    among: Any = list(spec.classes[task]) if spec.scenario == "task" else slice(None)
    names = np.arange(spec.n_classes)[among]
    for start in range(0, len(y), EVAL_ROWS):
        rows = slice(start, start + EVAL_ROWS)
        scores = contestant.predict(x[rows], task)
        right += int(np.sum(names[scores[:, among].argmax(axis=1)] == y[rows]))
    return right / len(y)
