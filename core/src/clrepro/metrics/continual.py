"""Every metric of the suite's papers under the paper's name: pure functions of the accuracy matrix.

R float64 (T, T) holds fractions, R[after_task, on_task] in order of presentation; b float64 (T,) is the
untrained network's accuracy.  A cell that a run did not measure is nan, and a function reads only the cells
its formula names.  Means over "all tasks but one" are nan when there is a single task.

Three papers call three things "forgetting"; the names below say whose.  TA-A-GEM counts in epochs instead of
tasks: its a float64 (E, T) has one row per epoch, nan for tasks not seen yet.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clrepro.metrics.matrix import best_since_learned

Matrix = NDArray[np.float64]

# --- MER: Riemer et al. 2019 ------------------------------------------------------------------------------


def mer_retained_accuracy(r: Matrix) -> float:
    """Returns RA = mean_t R[T-1, t]: accuracy on all tasks after the last.  Source: Riemer et al. 2019."""
    return float(np.mean(r[-1]))


def mer_learning_accuracy(r: Matrix) -> float:
    """Returns LA = mean_t R[t, t]: accuracy on each task right after learning it.

    Source: Riemer et al. 2019.
    """
    return float(np.mean(np.diagonal(r)))


def mer_backward(r: Matrix) -> float:
    """Returns BTI = mean_t (R[T-1, t] - R[t, t]), the last task counting as 0: RA - LA.

    Source: Riemer et al. 2019; GEM's BWT divides the same sum by T - 1.
    """
    return float(np.mean(r[-1] - np.diagonal(r)))


def mer_forward(r: Matrix, b: Matrix) -> float:
    """Returns FWT = mean over all T of (R[t-1, t] - b_t), the first task counting as 0.

    Source: MER's published code; GEM's FWT divides the same sum by T - 1.
    """
    return float(np.sum(np.diagonal(r, 1) - b[1:]) / len(r))


# --- GEM: Lopez-Paz and Ranzato 2017, section 2 -------------------------------------------------------------


def gem_accuracy(r: Matrix) -> float:
    """Returns ACC = mean_i R[T-1, i].  Source: Lopez-Paz & Ranzato 2017, equation 2."""
    return float(np.mean(r[-1]))


def gem_backward(r: Matrix) -> float:
    """Returns BWT = 1/(T-1) sum_{i<T-1} (R[T-1, i] - R[i, i]).

    Source: Lopez-Paz & Ranzato 2017, equation 3.
    """
    return _mean(r[-1, :-1] - np.diagonal(r)[:-1])


def gem_forward(r: Matrix, b: Matrix) -> float:
    """Returns FWT = 1/(T-1) sum_{i>0} (R[i-1, i] - b_i).

    Source: Lopez-Paz & Ranzato 2017, equation 4.
    """
    return _mean(np.diagonal(r, 1) - b[1:])


# --- Chaudhry et al. 2018, as A-GEM and most later papers use them -----------------------------------------


def chaudhry_average_accuracy(r: Matrix) -> float:
    """Returns A_T = mean_j R[T-1, j].  Source: Chaudhry et al. 2018 (Riemannian walk), section 3."""
    return float(np.mean(r[-1]))


def chaudhry_forgetting(r: Matrix) -> float:
    """Returns F_T = 1/(T-1) sum_{j<T-1} (max_{j<=l<T-1} R[l, j] - R[T-1, j]); negative where a task gained.

    Source: Chaudhry et al. 2018, section 3.
    Differs from the original: rows before task j was learned are left out of the maximum; the papers that
        use the formula do not measure them.
    """
    return _mean(best_since_learned(r, with_last=False) - r[-1, :-1])


# --- Stable SGD: Mirzadeh et al. 2020; TAG: Malviya et al. 2022 --------------------------------------------


def stable_sgd_average_accuracy(r: Matrix) -> float:
    """Returns A = mean_i R[T-1, i].  Source: Mirzadeh et al. 2020, after Chaudhry et al. 2018."""
    return float(np.mean(r[-1]))


def stable_sgd_forgetting(r: Matrix) -> float:
    """Returns F = 1/(T-1) sum_{i<T-1} (max_{i<=t<=T-1} R[t, i] - R[T-1, i]), so every term is >= 0.

    Source: the published code of Stable SGD, whose maximum includes the final row; the formula in the paper
        is `chaudhry_forgetting`.
    """
    return _mean(best_since_learned(r, with_last=True) - r[-1, :-1])


def tag_average_accuracy(r: Matrix) -> float:
    """Returns A = mean_i R[T-1, i].  Source: Malviya et al. 2022."""
    return float(np.mean(r[-1]))


def tag_forgetting(r: Matrix) -> float:
    """Returns F as Stable SGD's code computes it, on which TAG's is built.  Source: TAG's published code."""
    return stable_sgd_forgetting(r)


def tag_learning_accuracy(r: Matrix) -> float:
    """Returns LA = mean_i R[i, i].  Source: Malviya et al. 2022, after Riemer et al. 2019."""
    return float(np.mean(np.diagonal(r)))


# --- TA-A-GEM: epoch by epoch -------------------------------------------------------------------------------


def ta_agem_overall(a: Matrix, sizes: ArrayLike | None = None) -> Matrix:
    """Returns float64 (E,): per epoch the accuracy over all test examples of the tasks seen so far.

    Args: a — float64 (E, T), nan for tasks not seen yet; sizes — test examples per task (T,), None if equal.
    Source: TA-A-GEM's code (micro average; with equal sizes the mean over tasks).
    """
    seen = ~np.isnan(a)
    weight = seen * (np.ones(a.shape[1]) if sizes is None else np.asarray(sizes, np.float64))
    return np.asarray(np.sum(np.where(seen, a, 0.0) * weight, axis=1) / np.sum(weight, axis=1))


def ta_agem_average_accuracy(a: Matrix, sizes: ArrayLike | None = None) -> float:
    """Returns A = mean over *all epochs* of the overall accuracy.

    Source: TA-A-GEM's code; early epochs, with few tasks, raise it above `ta_agem_final_accuracy`.
    """
    return float(np.mean(ta_agem_overall(a, sizes)))


def ta_agem_final_accuracy(a: Matrix) -> float:
    """Returns A_T = mean_k a[E-1, k], the usual average accuracy after the last epoch."""
    return float(np.mean(a[-1]))


def ta_agem_first_task_forgetting(a: Matrix, first_task_epochs: int) -> float:
    """Returns F1 = mean over the epochs after task 0 of (best a[e, 0] during task 0 - a[e, 0]).

    Args: first_task_epochs — epochs that task 0 lasted.  Negative where task 0 went on improving.
    Source: "forgetting" of TA-A-GEM's code.
    """
    first = a[:, 0]
    return _mean(np.max(first[:first_task_epochs]) - first[first_task_epochs:])


def ta_agem_first_task_accuracy(a: Matrix) -> float:
    """Returns T1 = mean over all epochs of a[e, 0].  Source: TA-A-GEM's code."""
    return float(np.mean(a[:, 0]))


def ta_agem_forgetting(a: Matrix) -> float:
    """Returns F = 1/(T-1) sum_{k<T-1} (max_e a[e, k] - a[E-1, k]), the maximum over all measured epochs.

    Source: the usual forgetting, on TA-A-GEM's epochs.
    """
    columns = [column[~np.isnan(column)] for column in a[:, :-1].T]
    return _mean(np.array([np.max(column) - column[-1] for column in columns], np.float64))


def ta_agem_backward(a: Matrix, last_epochs: ArrayLike) -> float:
    """Returns BWT = 1/(T-1) sum_{k<T-1} (a[E-1, k] - a[end of task k, k]).

    Args: last_epochs — int (T,), index of the last epoch of each task.
    Source: GEM's BWT on TA-A-GEM's epochs.
    """
    ends = np.asarray(last_epochs, np.int64)[:-1]
    return _mean(a[-1, :-1] - a[ends, np.arange(a.shape[1] - 1)])


# --- RewireNeuron: Sun & Mu 2023, after Gaya et al. 2023 (CSP); R holds returns or success rates ----------


def rewire_performance(r: Matrix) -> float:
    """Returns P = mean_j R[T-1, j].  Source: the usual definition; the paper's words could not be read."""
    return float(np.mean(r[-1]))


def rewire_forgetting(r: Matrix) -> float:
    """Returns F = mean over *all* T of (R[j, j] - R[T-1, j]), positive where a task was forgotten.

    Source: CSP's usage; the last task counts as 0, unlike `chaudhry_forgetting`.
    """
    return float(np.mean(np.diagonal(r) - r[-1]))


def rewire_transfer(r: Matrix, scratch: ArrayLike, first: int = 0) -> float:
    """Returns T = mean_j (R[j, j] - S_j) over the tasks j >= first.

    Args: scratch — S float64 (T,), each task learnt from scratch: the diagonal of a SAC-N run.
    Source: CSP's usage.
    """
    return float(np.mean((np.diagonal(r) - np.asarray(scratch, np.float64))[first:]))


def forward_transfer_auc(auc: ArrayLike, scratch: ArrayLike) -> float:
    """Returns mean_j (AUC_j - S_j) / (1 - S_j) over the tasks that are not perfect alone; nan if all are.

    Args: auc, scratch — (T,), areas under the success curve of each task's training, in [0, 1]: in the
    sequence, and alone.
    Source: forward transfer of Continual World (Wolczyk et al. 2021).
    """
    area, alone = np.asarray(auc, np.float64), np.asarray(scratch, np.float64)
    known = alone < 1
    return _mean((area[known] - alone[known]) / (1 - alone[known]))


def rewire_scale(scratch: ArrayLike) -> Matrix | None:
    """Returns S float64 (T,) to divide returns by, or None where that would mislead: an S_j that is
    negative or
    below 1 % of the largest.
    """
    s = np.asarray(scratch, np.float64)
    return s if np.all(s > 0) and np.all(s >= 0.01 * np.max(np.abs(s))) else None


def _mean(terms: Matrix) -> float:
    """Mean that is nan, without a warning, where there is nothing to average."""
    return float(np.mean(terms)) if len(terms) else math.nan
