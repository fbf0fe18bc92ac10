"""Test accuracy of a learner on every task.

A lazy task file says how each task's images come from one base set: by moving pixels.  Moving pixels and then applying
W1 is the same as applying a W1 whose *rows* are moved, so all tasks share one packed set of test images and nothing
but a (784, 100) table changes from task to task.  Dense files are evaluated row by row.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_repro.data import TaskFile
from mer_repro.engine import FusedEngine

CHUNK = 2500  # rows per matrix product: inputs and hidden layers then stay within a core's cache


class Evaluator:
    """Counts hits on the test sets of a task file.

    Args: tasks — the opened file; legacy — leave the last test example out of the count but not of the divisor, as the
        original does (contract 4).
    """

    def __init__(self, tasks: TaskFile, legacy: bool) -> None:
        self._tasks = tasks
        self._legacy = legacy
        self._base: NDArray[np.float32] | None = None

    def accuracies(self, method: Any, on: list[int] | None = None) -> NDArray[np.float64]:
        """Returns accuracy (n_tasks,) as fractions; nan for tasks not in `on` (default: all tasks)."""
        out = np.full(self._tasks.n_tasks, np.nan)
        for t in range(self._tasks.n_tasks) if on is None else on:
            hit = self._predictions(method, t) == self._tasks.test_labels(t)
            out[t] = (hit[:-1] if self._legacy else hit).sum() / len(hit)
        return out

    def _predictions(self, method: Any, t: int) -> NDArray[np.int64]:
        engine, theta = method.network(t)
        if isinstance(engine, FusedEngine) and self._tasks.maps is not None:
            theta, rows = self._folded(engine, theta, t)
        else:
            rows = self._tasks.test_rows(t)
        parts = [engine.logits(theta, rows[at : at + CHUNK]) for at in range(0, len(rows), CHUNK)]
        return np.concatenate([part.argmax(axis=1) for part in parts])

    def _folded(self, engine: FusedEngine, theta: Any, t: int) -> tuple[Any, NDArray[np.float32]]:
        """Returns theta with the task's pixel map folded into its first layer, and the base test rows."""
        assert self._tasks.maps is not None
        if self._base is None:
            assert self._tasks.base_test is not None
            self._base = self._tasks.base_test.astype(np.float32) / np.float32(255)
        pixel_map = self._tasks.maps[t]
        used = np.flatnonzero(pixel_map >= 0)
        theta = theta.copy()
        weight = engine.layout.views(theta)[0][0]
        moved = np.zeros_like(weight)
        # A rotation may show one source pixel at two places: their rows add up.
        np.add.at(moved, pixel_map[used], weight[used])
        weight[...] = moved
        return theta, self._base
