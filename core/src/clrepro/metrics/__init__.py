"""Numbers from accuracy matrices and from many seeds.

matrix      R[after_task, on_task] from a run's evaluation rows
continual   every paper's metrics under the paper's name, functions of R
stats       spread, intervals, comparisons, seeds still needed
"""

from clrepro.metrics.accuracy_matrix import AccuracyMatrix as AccuracyMatrix
