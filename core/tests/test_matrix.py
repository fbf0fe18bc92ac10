"""The matrix of a run with rows between the task changes, in file order and shuffled."""

import numpy as np
import pytest

from clrepro.errors import DataError
from clrepro.metrics import continual, matrix

# Three tasks presented as 2, 0, 1, three evaluations each after the untrained row; columns are task numbers.
# Only the last row of each task may enter R.
ORDER = [2, 0, 1]
LABELS = [2, 2, 2, 2, 0, 0, 1, 1, 1]
ROWS = np.array(
    [
        [0.10, 0.11, 0.12],  # untrained
        [0.20, 0.20, 0.50],
        [0.21, 0.22, 0.60],
        [0.23, 0.24, 0.90],  # closes task 2
        [0.50, 0.30, 0.80],
        [0.85, 0.31, 0.70],  # closes task 0
        [0.80, 0.40, 0.65],
        [0.75, 0.60, 0.60],
        [0.70, 0.80, 0.55],  # closes task 1
    ]
)
R = [[0.90, 0.23, 0.24], [0.70, 0.85, 0.31], [0.55, 0.70, 0.80]]


@pytest.mark.parametrize("order", [None, ORDER])
def test_r_is_in_presentation_order_on_both_axes(order):
    r, baseline = matrix.from_rows(LABELS, ROWS, order)
    assert r.tolist() == R
    assert baseline.tolist() == [0.12, 0.10, 0.11]


def test_metrics_of_shuffled_tasks_follow_the_presentation():
    r, b = matrix.from_rows(LABELS, ROWS)
    assert continual.learning_accuracy(r) == pytest.approx((0.90 + 0.85 + 0.80) / 3)
    assert continual.average_accuracy(r) == pytest.approx((0.55 + 0.70 + 0.80) / 3)
    assert continual.forward_transfer_over_all(r, b) == pytest.approx((0 + (0.23 - 0.10) + (0.31 - 0.11)) / 3)


def test_the_label_of_the_untrained_row_does_not_matter():
    """The original labels it 0 whichever task comes first."""
    r, _ = matrix.from_rows([0, *LABELS[1:]], ROWS)
    assert r.tolist() == R


def test_a_run_evaluated_only_at_task_changes_gives_the_same_matrix():
    few = [0, 3, 5, 8]
    assert matrix.from_rows([LABELS[i] for i in few], ROWS[few])[0].tolist() == R


@pytest.mark.parametrize(
    ("labels", "rows", "order", "message"),
    [
        ([0, 0], np.zeros((3, 1)), None, "expected"),
        ([0], np.zeros((1, 1)), None, "E > T"),
        ([0, 0, 0], np.zeros((3, 2)), None, "each task once"),
        ([0, 0, 1], np.zeros((3, 2)), [0, 0], "each task once"),
        ([1, 0, 0], np.zeros((3, 2)), [0, 1], "no row closes task 1"),
        ([0, 0, 1, 0], np.zeros((4, 2)), None, "trained in the order 0, 1, 0; expected each once"),
        ([0, 0, 1, 0], np.zeros((4, 2)), [0, 1], "trained in the order 0, 1, 0; expected each once"),
        ([0, 1, 0], np.zeros((3, 2)), [0, 1], "in the order 0, 1$"),
    ],
)
def test_rows_that_make_no_matrix_are_refused(labels, rows, order, message):
    with pytest.raises(DataError, match=message):
        matrix.from_rows(labels, rows, order)


def test_seen_average_leaves_out_tasks_to_come():
    assert matrix.seen_average(np.array(R)).tolist() == pytest.approx([0.90, 0.775, 2.05 / 3])
    with pytest.raises(DataError, match=r"\(T, T\)"):
        matrix.seen_average(np.zeros((2, 3)))


def test_best_since_learned_reads_no_row_before_the_task():
    r = np.array([[0.5, 0.99, 0.0], [0.6, 0.4, 0.0], [0.7, 0.3, 0.9]])
    assert matrix.best_since_learned(r, with_last=False).tolist() == [0.6, 0.4]
    assert matrix.best_since_learned(r, with_last=True).tolist() == [0.7, 0.4]
