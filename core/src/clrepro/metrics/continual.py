"""The metrics of the papers, each under the name of its formula: pure functions of the accuracy matrix.

R float64 (T, T) holds fractions (RewireNeuron: returns or success rates), R[after_task, on_task] in order of
presentation; b float64 (T,) is the accuracy of the untrained network.  A cell that was not measured is nan,
and a function reads only the cells its formula names.  Means over "all tasks but one" are nan for one task.

What each paper calls them, and whose formula it is: docs/metrics.md.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrepro.metrics.matrix import best_since_learned

Matrix = NDArray[np.float64]

# --- of tasks ----------------------------------------------------------------------------------------------


def average_accuracy(r: Matrix) -> float:
    """Returns mean_j R[T-1, j], over all tasks after the last.

    Source: Lopez-Paz & Ranzato 2017, equation 2.
    """
    return float(np.mean(r[-1]))


def learning_accuracy(r: Matrix) -> float:
    """Returns mean_j R[j, j], on each task right after learning it.  Source: Riemer et al. 2019."""
    return float(np.mean(np.diagonal(r)))


def backward_transfer(r: Matrix) -> float:
    """Returns 1/(T-1) sum_{j<T-1} (R[T-1, j] - R[j, j]).

    Source: Lopez-Paz & Ranzato 2017, equation 3.
    """
    return _mean(r[-1, :-1] - np.diagonal(r)[:-1])


def backward_transfer_over_all(r: Matrix) -> float:
    """Returns mean_j (R[T-1, j] - R[j, j]) over *all* T, the last task counting as 0: average minus learning
    accuracy.

    Source: Riemer et al. 2019.
    """
    return float(np.mean(r[-1] - np.diagonal(r)))


def forward_transfer(r: Matrix, b: Matrix) -> float:
    """Returns 1/(T-1) sum_{j>0} (R[j-1, j] - b_j).  Source: Lopez-Paz & Ranzato 2017, equation 4."""
    return _mean(np.diagonal(r, 1) - b[1:])


def forward_transfer_over_all(r: Matrix, b: Matrix) -> float:
    """Returns 1/T sum_{j>0} (R[j-1, j] - b_j), the first task counting as 0.

    Source: MER's published code.
    """
    return float(np.sum(np.diagonal(r, 1) - b[1:]) / len(r))


def forgetting(r: Matrix) -> float:
    """Returns 1/(T-1) sum_{j<T-1} (max_{j<=i<T-1} R[i, j] - R[T-1, j]); negative where a task gained.

    Source: Chaudhry et al. 2018 (Riemannian walk), section 3.
    Differs from the original: rows before task j was learned are left out of the maximum; the papers that
        use the formula do not measure them.
    """
    return _mean(best_since_learned(r, with_last=False) - r[-1, :-1])


def forgetting_with_last(r: Matrix) -> float:
    """Returns 1/(T-1) sum_{j<T-1} (max_{j<=i<=T-1} R[i, j] - R[T-1, j]), so every term is >= 0.

    Source: the published codes of Stable SGD and TAG, whose maximum includes the final row; the formula in
        the papers is `forgetting`.
    """
    return _mean(best_since_learned(r, with_last=True) - r[-1, :-1])


def forgetting_over_all(r: Matrix) -> float:
    """Returns mean_j (R[j, j] - R[T-1, j]) over *all* T, positive where a task was forgotten.

    Source: CSP's usage (Gaya et al. 2023); the last task counts as 0, unlike `forgetting`.
    """
    return float(np.mean(np.diagonal(r) - r[-1]))


def transfer_from_scratch(r: Matrix, scratch: ArrayLike, first: int = 0) -> float:
    """Returns mean_j (R[j, j] - S_j) over the tasks j >= first.

    Args: scratch — S float64 (T,), each task learnt from scratch: the diagonal of a SAC-N run.
    Source: CSP's usage.
    """
    return float(np.mean((np.diagonal(r) - np.asarray(scratch, np.float64))[first:]))


def positive_scale(scratch: ArrayLike) -> Matrix | None:
    """Returns S float64 (T,) to divide returns by, or None where that would mislead: an S_j that is negative
    or below 1 % of the largest.
    """
    s = np.asarray(scratch, np.float64)
    return s if np.all(s > 0) and np.all(s >= 0.01 * np.max(np.abs(s))) else None


def forward_transfer_auc(auc: ArrayLike, scratch: ArrayLike) -> float:
    """Returns mean_j (AUC_j - S_j) / (1 - S_j) over the tasks that are not perfect alone; nan if all are.

    Args: auc, scratch — (T,), areas under the success curve of each task's training, in [0, 1]: in the
    sequence, and alone.
    Source: forward transfer of Continual World (Wolczyk et al. 2021).
    """
    area, alone = np.asarray(auc, np.float64), np.asarray(scratch, np.float64)
    known = alone < 1
    return _mean((area[known] - alone[known]) / (1 - alone[known]))


# --- of epochs: a float64 (E, T) has one row per epoch, nan for tasks not seen yet --------------------------


def accuracy_per_epoch(a: Matrix, sizes: ArrayLike | None = None) -> Matrix:
    """Returns float64 (E,): per epoch the accuracy over all test examples of the tasks seen so far.

    Args: a — float64 (E, T), nan for tasks not seen yet; sizes — test examples per task (T,), None if equal.
    Source: TA-A-GEM's code (micro average; with equal sizes the mean over tasks).
    """
    seen = ~np.isnan(a)
    weight = seen * (np.ones(a.shape[1]) if sizes is None else np.asarray(sizes, np.float64))
    return np.asarray(np.sum(np.where(seen, a, 0.0) * weight, axis=1) / np.sum(weight, axis=1))


def mean_accuracy_over_epochs(a: Matrix, sizes: ArrayLike | None = None) -> float:
    """Returns the mean over *all epochs* of `accuracy_per_epoch`.

    Source: TA-A-GEM's code; early epochs, with few tasks, raise it above `average_accuracy` of the last.
    """
    return float(np.mean(accuracy_per_epoch(a, sizes)))


def first_task_forgetting(a: Matrix, first_task_epochs: int) -> float:
    """Returns the mean over the epochs after task 0 of (best a[e, 0] during task 0 - a[e, 0]).

    Args: first_task_epochs — epochs that task 0 lasted.  Negative where task 0 went on improving.
    Source: "forgetting" of TA-A-GEM's code.
    """
    first = a[:, 0]
    return _mean(np.max(first[:first_task_epochs]) - first[first_task_epochs:])


def first_task_accuracy(a: Matrix) -> float:
    """Returns the mean over all epochs of a[e, 0].  Source: TA-A-GEM's code."""
    return float(np.mean(a[:, 0]))


def forgetting_over_epochs(a: Matrix) -> float:
    """Returns 1/(T-1) sum_{j<T-1} (max_e a[e, j] - a[E-1, j]), the maximum over all measured epochs.

    Source: the usual forgetting, on TA-A-GEM's epochs.
    """
    columns = [column[~np.isnan(column)] for column in a[:, :-1].T]
    return _mean(np.array([np.max(column) - column[-1] for column in columns], np.float64))


def backward_transfer_over_epochs(a: Matrix, last_epochs: ArrayLike) -> float:
    """Returns 1/(T-1) sum_{j<T-1} (a[E-1, j] - a[end of task j, j]).

    Args: last_epochs — int (T,), index of the last epoch of each task.
    Source: GEM's backward transfer on TA-A-GEM's epochs.
    """
    ends = np.asarray(last_epochs, np.int64)[:-1]
    return _mean(a[-1, :-1] - a[ends, np.arange(a.shape[1] - 1)])


def _mean(terms: Matrix) -> float:
    """Mean that is nan, without a warning, where there is nothing to average."""
    return float(np.mean(terms)) if len(terms) else math.nan
