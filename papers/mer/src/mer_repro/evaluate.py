"""Test accuracy of a learner on every task.

A lazy task file says how each task's images come from one base set: by moving pixels.  Moving pixels and
then applying W1 is the same as applying a W1 whose *rows* are moved, so all tasks share one packed set of
test images and nothing but a (784, 100) table changes from task to task.  Dense files are evaluated row by
row.
"""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.kernels import mlp
from clrepro.metrics.divergence import check_size
from mer_repro.engine import FusedEngine
from mer_repro.streams import TaskFile

CHUNK = 2500  # rows per matrix product: inputs and hidden layers then stay within a core's cache


class Evaluator:
    """Counts hits on the test sets of a task file.

    Args: tasks — the opened file; legacy — leave the last test example out of the count but not of the
        divisor, as the original does (contract 4).
    """

    def __init__(self, tasks: TaskFile, legacy: bool) -> None:
        self._tasks = tasks
        self._legacy = legacy

    def accuracies(self, method: Any, on: list[int] | None = None) -> NDArray[np.float64]:
        """Returns accuracy (n_tasks,) as fractions; nan for tasks not in `on` (default: all tasks).

        Raises: FloatingPointError if an output of a network is no number or absurdly large.
        """
        out = np.full(self._tasks.n_tasks, np.nan)
        for t in range(self._tasks.n_tasks) if on is None else on:
            hit = self._predictions(method, t) == self._tasks.test_labels(t)
            out[t] = (hit[:-1] if self._legacy else hit).sum() / len(hit)
        return out

    def _predictions(self, method: Any, t: int) -> NDArray[np.int64]:
        engine, theta = method.network(t) if hasattr(method, "network") else (None, None)
        if isinstance(engine, FusedEngine) and self._tasks.maps is not None:
            layout, theta = self._folded(engine.layout, theta, self._tasks.maps[t])
            parts = [mlp.logits(layout, theta, rows) for rows in chunks(self._packed)]
        else:
            parts = [method.predict(rows, t) for rows in chunks(self._tasks.test_rows(t))]
        logits = np.concatenate(parts)
        check_size(float(np.abs(logits).max()), f"its outputs for task {t + 1}", "lower --lr")
        return np.asarray(logits.argmax(axis=1))

    @cached_property
    def _pixels(self) -> NDArray[np.int64]:
        """Pixels that are not black in every base test image; the others add nothing to any product."""
        assert self._tasks.base_test is not None
        return np.flatnonzero(self._tasks.base_test.any(axis=0))

    @cached_property
    def _packed(self) -> NDArray[np.float32]:
        """Base test images float32 (n, used pixels) in [0, 1]."""
        assert self._tasks.base_test is not None
        return self._tasks.base_test[:, self._pixels].astype(np.float32) / np.float32(255)

    def _folded(self, layout: mlp.Layout, theta: Any, pixel_map: NDArray[np.int64]) -> tuple[mlp.Layout, Any]:
        """Returns layout and parameters of the network that takes packed base images of this task."""
        small = mlp.Layout((len(self._pixels), *layout.sizes[1:]))
        folded = np.empty(small.n_params, np.float32)
        used = np.flatnonzero(pixel_map >= 0)
        weight = layout.views(theta)[0][0]
        moved = np.zeros_like(weight)
        # A rotation may show one source pixel at two places: their rows add up.
        np.add.at(moved, pixel_map[used], weight[used])
        small.views(folded)[0][0][...] = moved[self._pixels]
        n_first = weight.size
        folded[small.sizes[0] * small.sizes[1] :] = theta[n_first:]
        return small, folded


def chunks(rows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Returns views of CHUNK rows each."""
    return [rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK)]
