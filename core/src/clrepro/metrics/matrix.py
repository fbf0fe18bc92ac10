"""The accuracy matrix R[after_task, on_task] and what can be read off it before any paper gives it a name.

Evaluation rows are taken at many moments of a run; only the last row of each task enters R.  Both axes of R
are in order of presentation: row p was measured when the p-th presented task ended, column q is the q-th
presented task.  Accuracies are fractions, cells that a run did not measure are nan.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrepro.errors import DataError

Matrix = NDArray[np.float64]


def from_rows(
    labels: ArrayLike, rows: ArrayLike, order: Sequence[int] | None = None
) -> tuple[Matrix, Matrix]:
    """Returns (R float64 (T, T), baseline float64 (T,)) of a run's evaluation rows.

    Args:
        labels: (E,), for each row the number of the task that was current when it was taken.
        rows: (E, T), accuracy on every task, columns in task numbers; row 0 is the untrained network.
        order: task numbers as presented; None reads it off the labels.
    Raises: DataError if the rows do not fit the labels, a task has no row after the untrained one, or tasks
        come in another order or return.
    Source: MER contract, section 4 (row of task t = the last row labelled t).
    Differs from the original: its columns stay in task numbers and row 0 counts as a row of task 0, so its
        matrix is wrong as soon as tasks are shuffled.
    """
    current, measured = np.asarray(labels), np.asarray(rows, np.float64)
    if measured.ndim != 2 or current.shape != measured.shape[:1] or len(measured) < 2:
        raise DataError(
            f"labels {current.shape} and rows {measured.shape}; expected (E,) and (E, T) with E > T >= 1"
        )
    trained = [int(label) for label in current[1:]]
    presented = list(dict.fromkeys(trained)) if order is None else [int(t) for t in order]
    n_tasks = measured.shape[1]
    if sorted(presented) != list(range(n_tasks)):
        raise DataError(
            f"tasks {presented} were presented, the rows have {n_tasks} columns; expected each task once"
        )
    if missing := [task for task in presented if task not in trained]:
        raise DataError(f"no row closes task {missing[0]}; evaluate at every change of task and at the end")
    # In R a task has one row and one place, so it cannot come back behind another one.
    came = [task for task, before in zip(trained, [None, *trained], strict=False) if task != before]
    if came != presented:
        raise DataError(
            f"tasks were trained in the order {', '.join(map(str, came[:40]))}; expected each once, in the "
            f"order {', '.join(map(str, presented[:40]))}"
        )
    last = {task: row for row, task in enumerate(trained, start=1)}
    closing = [last[task] for task in presented]
    return in_order(measured[closing], presented), in_order(measured[:1], presented)[0]


def in_order(rows: Matrix, order: Sequence[int]) -> Matrix:
    """Returns rows (n, T) with the columns in order of presentation.  Args: order — task numbers (T,)."""
    return rows[:, np.asarray(order, np.int64)]


def check_square(r: Matrix) -> Matrix:
    """Returns R as float64.  Raises: DataError unless it is (T, T) with at least one task."""
    r = np.asarray(r, np.float64)
    if r.ndim != 2 or r.shape[0] != r.shape[1] or not len(r):
        raise DataError(f"accuracy matrix of shape {r.shape}; expected (T, T), one row and column per task")
    return r


def seen_average(r: Matrix) -> Matrix:
    """Returns float64 (T,): after each task, the mean accuracy on the tasks presented so far.

    Source: A_k of Chaudhry et al. 2018, for k = 1 … T.
    """
    return np.array([np.mean(row[: k + 1]) for k, row in enumerate(check_square(r))])


def best_since_learned(r: Matrix, *, with_last: bool) -> Matrix:
    """Returns float64 (T-1,): for each task but the last, its best accuracy from its own row on.

    Args: with_last — whether the final row may be the best one.
    """
    end = len(r) if with_last else len(r) - 1
    return np.array([np.max(r[task:end, task]) for task in range(len(r) - 1)], np.float64)
