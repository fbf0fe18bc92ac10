"""When to evaluate, which tasks, and the accuracy matrix that comes out (contract 2.7 and 4)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_repro.evaluate import Evaluator


class Curve:
    """Evaluation rows in the original's timing: before every log_every-th observe call and whenever the task
    changes.

    A row carries the task that was current before the call, so the row at a task switch closes the old task.
    Policies: full — every row, all tasks, as the original.  tasks — only the untrained row and the rows that
    close a task: all that R needs.  metrics — of those, only the cells that RA, LA, BTI and FWT read; the
    others are nan.
    """

    def __init__(self, policy: str, log_every: int, order: list[int], evaluator: Evaluator) -> None:
        self._policy, self._log_every, self._order, self._evaluator = policy, log_every, order, evaluator
        self._labels: list[int] = []
        self._rows: list[NDArray[np.float64]] = []
        self._closing: list[int] = []  # rows that close a presented task, in order of presentation
        self._calls = 0
        self._current = order[0]
        self.closed_task = False
        self._resumed = False

    def due(self, task: int) -> bool:
        """True if an evaluation belongs before the observe call that brings `task`."""
        self.closed_task = self._calls > 0 and task != self._current and not self._resumed
        if self._resumed:  # the row before this call was saved with the checkpoint
            return False
        if self._policy == "full":
            return self.closed_task or self._calls % self._log_every == 0
        return self.closed_task or self._calls == 0

    def add(self, method: Any, task: int) -> None:
        """Evaluate now; `task` is the incoming one."""
        if self.closed_task:
            self._closing.append(len(self._rows))
        self._append(method, [self._current, task] if self.closed_task else None)

    def observed(self, task: int) -> None:
        """Count an observe call."""
        self._current = task
        self._calls += 1
        self._resumed = False

    def close(self, method: Any) -> None:
        """The last row, after the last call: closes the last task."""
        self._closing.append(len(self._rows))
        self._append(method, None)

    def _append(self, method: Any, needed: list[int] | None) -> None:
        self._labels.append(self._current)
        self._rows.append(self._evaluator.accuracies(method, needed if self._policy == "metrics" else None))

    def rows(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns (labels (E,), accuracies (E, n_tasks)) as the original stores them."""
        return np.array(self._labels, np.float32), np.array(self._rows, np.float32)

    def matrix(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns (R (T, T), baseline (T,)): row p of R closes the p-th *presented* task, columns are task
        numbers.

        Differs from the original for shuffled tasks, whose matrix mixed the two orders up and could gain a
        row.
        """
        return np.array([self._rows[row] for row in self._closing]), self._rows[0].copy()

    def state(self) -> dict[str, Any]:
        """Returns everything an exact continuation needs."""
        return {
            "labels": list(self._labels), "rows": np.array(self._rows), "closing": list(self._closing),
            "calls": self._calls, "current": self._current,
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a saved state, which was taken after the row that closed task `current`."""
        self._labels, self._closing = list(state["labels"]), list(state["closing"])
        self._rows = list(np.array(state["rows"]))
        self._calls, self._current = int(state["calls"]), int(state["current"])
        self._resumed = True
