"""The accuracy matrix as it fills up during a run, and the numbers that the field reads off it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrepro.metrics import continual


class AccuracyMatrix:
    """R[after_task, on_task]: fractions, nan where nothing was measured.

    Args: n_tasks — tasks of the stream, 1 or more.
    Raises: ValueError for less.
    """

    def __init__(self, n_tasks: int) -> None:
        if n_tasks < 1:
            raise ValueError(f"{n_tasks} tasks: 1 or more")
        self.values: NDArray[np.float64] = np.full((n_tasks, n_tasks), np.nan)

    def record(self, after: int, accuracies: ArrayLike) -> None:
        """Set the row of a task that was just learnt.

        Args: after — the task, from 0; accuracies — of tasks 0, 1, ..., at least up to it, at most all.
        Raises: ValueError for another task or number of accuracies, or what is no fraction.
        """
        row, n = np.asarray(accuracies, np.float64), len(self.values)
        if not 0 <= after < n:
            raise ValueError(f"task {after}: from 0 to {n - 1}")
        if row.ndim != 1 or not after < len(row) <= n:
            raise ValueError(f"accuracies {row.shape} after task {after}: from {after + 1} to {n} of them")
        if not ((row >= 0) & (row <= 1)).all():
            raise ValueError("accuracies are fractions from 0 to 1")
        self.values[after, : len(row)] = row

    def average_accuracy(self) -> float:
        """Returns the mean of the last row: sum_j R[T, j] / T."""
        return continual.average_accuracy(self.values)

    def learning_accuracy(self) -> float:
        """Returns the mean of the diagonal: sum_j R[j, j] / T."""
        return continual.learning_accuracy(self.values)

    def backward_transfer(self) -> float:
        """Returns sum_{j<T} (R[T, j] - R[j, j]) / (T - 1), negative where tasks were forgotten; nan for one
        task.
        """
        return continual.backward_transfer(self.values)

    def forgetting(self) -> float:
        """Returns sum_{j<T} (max_{j<=i<T} R[i, j] - R[T, j]) / (T - 1); nan for one task."""
        return continual.forgetting(self.values)

    def forward_transfer(self, untrained: ArrayLike) -> float:
        """Returns sum_{j>1} (R[j - 1, j] - b_j) / (T - 1); nan for one task, or if no row reaches so far.

        Args: untrained — b (T,), the accuracy of the network before the first task.
        """
        return continual.forward_transfer(self.values, np.asarray(untrained, np.float64))
