"""Every metric of the suite's papers under the paper's name: pure functions of the accuracy matrix.

R float64 (T, T) holds fractions, R[after_task, on_task] in order of presentation; b float64 (T,) is the
untrained network's accuracy.  A cell that a run did not measure is nan, and a function reads only the cells
its formula names.
"""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def mer_retained_accuracy(r: Matrix) -> float:
    """Returns RA = mean_t R[T-1, t]: accuracy on all tasks after the last.  Source: Riemer et al. 2019."""
    return float(np.mean(r[-1]))


def mer_learning_accuracy(r: Matrix) -> float:
    """Returns LA = mean_t R[t, t]: accuracy on each task right after learning it.  Source: Riemer et al.
    2019.
    """
    return float(np.mean(np.diagonal(r)))


def mer_backward(r: Matrix) -> float:
    """Returns BTI = mean_t (R[T-1, t] - R[t, t]), the last task counting as 0: RA - LA.  Source: Riemer et
    al. 2019.
    """
    return float(np.mean(r[-1] - np.diagonal(r)))


def mer_forward(r: Matrix, b: Matrix) -> float:
    """Returns FWT = mean over all T of (R[t-1, t] - b_t), the first task counting as 0.

    Source: MER's published code; GEM's FWT (Lopez-Paz & Ranzato 2017) divides the same sum by T - 1.
    """
    return float(np.sum(np.diagonal(r, 1) - b[1:]) / len(r))
