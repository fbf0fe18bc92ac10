"""Metrics on a matrix small enough to do by hand."""

import numpy as np
import pytest

from clrepro.metrics import continual

# rows: after task; columns: on task
R = np.array([[0.9, 0.2, 0.1], [0.7, 0.8, 0.3], [0.5, 0.6, 0.7]])
B = np.array([0.1, 0.15, 0.05])


def test_mer_metrics_by_hand():
    assert continual.mer_retained_accuracy(R) == pytest.approx((0.5 + 0.6 + 0.7) / 3)
    assert continual.mer_learning_accuracy(R) == pytest.approx((0.9 + 0.8 + 0.7) / 3)
    assert continual.mer_backward(R) == pytest.approx((-0.4 - 0.2 + 0.0) / 3)
    assert continual.mer_forward(R, B) == pytest.approx((0 + (0.2 - 0.15) + (0.3 - 0.05)) / 3)


def test_retained_minus_learning_is_backward():
    r = np.random.default_rng(0).random((7, 7))
    difference = continual.mer_retained_accuracy(r) - continual.mer_learning_accuracy(r)
    assert continual.mer_backward(r) == pytest.approx(difference)


def test_only_the_cells_of_the_formula_are_read():
    r = R.copy()
    r[0, 2] = r[1, 0] = np.nan
    assert np.isfinite(continual.mer_forward(r, B))
    assert np.isfinite(continual.mer_backward(r))
    r[2, 0] = np.nan
    assert np.isnan(continual.mer_retained_accuracy(r))
