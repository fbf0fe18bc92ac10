"""Metrics on matrices small enough to do by hand; every paper's definition differs from its neighbours'."""

import numpy as np
import pytest

from clrepro.metrics import continual

# rows: after task; columns: on task
R = np.array([[0.9, 0.2, 0.1], [0.7, 0.8, 0.3], [0.5, 0.6, 0.7]])
B = np.array([0.1, 0.15, 0.05])
# Task 0 is best after task 1, task 1 after the last: the definitions of forgetting disagree.
S = np.array([[0.80, 0.0, 0.0], [0.90, 0.85, 0.0], [0.70, 0.86, 0.95]])
# TA-A-GEM: task 0 for two epochs, task 1 for two, task 2 for one.
A = np.array(
    [
        [0.6, np.nan, np.nan],
        [0.8, np.nan, np.nan],
        [0.7, 0.4, np.nan],
        [0.9, 0.6, np.nan],
        [0.5, 0.3, 0.9],
    ]
)


def test_mer_metrics_by_hand():
    assert continual.average_accuracy(R) == pytest.approx((0.5 + 0.6 + 0.7) / 3)
    assert continual.learning_accuracy(R) == pytest.approx((0.9 + 0.8 + 0.7) / 3)
    assert continual.backward_transfer_over_all(R) == pytest.approx((-0.4 - 0.2 + 0.0) / 3)
    assert continual.forward_transfer_over_all(R, B) == pytest.approx((0 + (0.2 - 0.15) + (0.3 - 0.05)) / 3)


def test_retained_minus_learning_is_backward():
    r = np.random.default_rng(0).random((7, 7))
    difference = continual.average_accuracy(r) - continual.learning_accuracy(r)
    assert continual.backward_transfer_over_all(r) == pytest.approx(difference)


def test_gem_metrics_by_hand_divide_by_one_task_less():
    assert continual.average_accuracy(R) == pytest.approx(0.6)
    assert continual.backward_transfer(R) == pytest.approx((-0.4 - 0.2) / 2)
    assert continual.forward_transfer(R, B) == pytest.approx(((0.2 - 0.15) + (0.3 - 0.05)) / 2)
    assert 2 * continual.backward_transfer(R) == pytest.approx(3 * continual.backward_transfer_over_all(R))


def test_chaudhrys_forgetting_by_hand_may_be_negative():
    assert continual.average_accuracy(S) == pytest.approx((0.70 + 0.86 + 0.95) / 3)
    assert continual.forgetting(S) == pytest.approx(((0.90 - 0.70) + (0.85 - 0.86)) / 2)


def test_stable_sgds_forgetting_by_hand_is_never_negative():
    assert continual.average_accuracy(S) == pytest.approx(2.51 / 3)
    assert continual.forgetting_with_last(S) == pytest.approx(((0.90 - 0.70) + 0.0) / 2)
    assert continual.forgetting_with_last(R) == pytest.approx(-continual.backward_transfer(R))


def test_tags_metrics_on_the_hand_matrix_of_its_contract():
    """[[90, 0, 0], [80, 85, 0], [70, 86, 95]] percent: A 83.667, F .10, signed .095, LA 90.0, BWT -9.5."""
    r = np.array([[90, 0, 0], [80, 85, 0], [70, 86, 95]]) / 100
    assert continual.average_accuracy(r) == pytest.approx(0.83667, abs=1e-5)
    assert continual.forgetting_with_last(r) == pytest.approx(0.10)
    assert continual.forgetting(r) == pytest.approx(0.095)
    assert continual.learning_accuracy(r) == pytest.approx(0.90)
    assert continual.backward_transfer(r) == pytest.approx(-0.095)


def test_ta_agem_accuracies_by_hand():
    overall = [0.6, 0.8, (0.7 + 0.4) / 2, (0.9 + 0.6) / 2, (0.5 + 0.3 + 0.9) / 3]
    assert continual.accuracy_per_epoch(A).tolist() == pytest.approx(overall)
    assert continual.mean_accuracy_over_epochs(A) == pytest.approx(sum(overall) / 5)
    assert continual.average_accuracy(A) == pytest.approx(1.7 / 3)
    assert continual.first_task_accuracy(A) == pytest.approx((0.6 + 0.8 + 0.7 + 0.9 + 0.5) / 5)


def test_ta_agem_weighs_tasks_by_their_test_examples():
    overall = continual.accuracy_per_epoch(A, [100, 300, 100])
    assert overall.tolist() == pytest.approx([0.6, 0.8, 190 / 400, 270 / 400, 230 / 500])


def test_ta_agem_forgettings_by_hand():
    # Best of task 0 while it lasted is 0.8, though 0.9 came later; standard forgetting takes the 0.9.
    first = ((0.8 - 0.7) + (0.8 - 0.9) + (0.8 - 0.5)) / 3
    assert continual.first_task_forgetting(A, 2) == pytest.approx(first)
    assert continual.forgetting_over_epochs(A) == pytest.approx(((0.9 - 0.5) + (0.6 - 0.3)) / 2)
    assert continual.backward_transfer_over_epochs(A, [1, 3, 4]) == pytest.approx(
        ((0.5 - 0.8) + (0.3 - 0.6)) / 2
    )


def test_only_the_cells_of_the_formula_are_read():
    r = R.copy()
    r[0, 2] = r[1, 0] = np.nan
    assert np.isfinite(continual.forward_transfer_over_all(r, B))
    assert np.isfinite(continual.backward_transfer_over_all(r))
    assert np.isfinite(continual.backward_transfer(r))
    r[2, 0] = np.nan
    assert np.isnan(continual.average_accuracy(r))


@pytest.mark.parametrize(
    "value",
    [
        continual.backward_transfer(R[:1, :1]),
        continual.forward_transfer(R[:1, :1], B[:1]),
        continual.forgetting(R[:1, :1]),
        continual.forgetting_with_last(R[:1, :1]),
        continual.first_task_forgetting(A[:2, :1], 2),
    ],
)
def test_a_single_task_has_nothing_to_forget(value):
    assert np.isnan(value)


def test_rewires_metrics_by_hand():
    r = np.array([[10.0, 1.0, 0.0], [6.0, 8.0, 2.0], [4.0, 9.0, 5.0]])
    scratch = [8.0, 10.0, 4.0]
    assert continual.average_accuracy(r) == 6.0
    assert continual.forgetting_over_all(r) == pytest.approx((6 - 1 + 0) / 3)
    assert continual.transfer_from_scratch(r, scratch) == pytest.approx((2 - 2 + 1) / 3)
    assert continual.transfer_from_scratch(r, scratch, first=1) == pytest.approx((-2 + 1) / 2)
    auc = continual.forward_transfer_auc([0.4, 0.25, 0.0], [0.2, 0.5, 1.0])
    assert auc == pytest.approx((0.25 - 0.5) / 2)
    assert np.isnan(continual.forward_transfer_auc([0.5], [1.0]))
    assert continual.positive_scale(scratch) is not None
    assert continual.positive_scale([8.0, -1.0, 4.0]) is None
    assert continual.positive_scale([800.0, 1.0, 4.0]) is None
