"""GEM's quadratic programme against its optimality conditions (contract O7)."""

import numpy as np
import pytest

from mer_repro.qp import nonnegative_dual


def problem(seed, t, rank=50):
    rng = np.random.default_rng(seed)
    past = rng.normal(size=(t, rank)) @ rng.normal(size=(rank, 50)) / rank**0.5
    return past, rng.normal(size=50) - 0.3 * past.sum(0)


@pytest.mark.parametrize("margin", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("rank", [50, 2])
@pytest.mark.parametrize("t", [1, 2, 5, 20])
def test_solution_is_feasible_and_complementary(t, rank, margin):
    for seed in range(5):
        past, g = problem(seed, t, rank)
        v = nonnegative_dual(past @ past.T, past @ g, margin)
        w = past @ (g + past.T @ v)
        scale = np.abs(past @ past.T).max()
        assert (v >= margin - 1e-12).all()
        assert (w >= -1e-7 * scale).all()
        np.testing.assert_allclose((v - margin) * w, 0, atol=1e-6 * scale)


def test_objective_is_the_smallest_among_feasible_points():
    past, g = problem(3, 6)
    p, q = past @ past.T, past @ g
    v = nonnegative_dual(p, q, 0.1)
    best = v @ p @ v / 2 + q @ v
    rng = np.random.default_rng(0)
    for other in [
        *(v + np.abs(rng.normal(0, s, 6)) for s in (1e-4, 1e-2, 1)),
        *(0.1 + rng.exponential(1, (50, 6))),
    ]:
        assert other @ p @ other / 2 + q @ other >= best - 1e-8


def test_projection_is_the_nearest_point_of_the_cone():
    past, g = problem(4, 5)
    v = nonnegative_dual(past @ past.T, past @ g, 0.0)
    projected = g + past.T @ v
    rng = np.random.default_rng(1)
    for _ in range(200):
        inside = projected + past.T @ rng.exponential(0.1, 5)
        if (past @ inside >= 0).all():
            assert np.linalg.norm(inside - g) >= np.linalg.norm(projected - g) - 1e-9


def test_one_task_has_the_closed_form():
    for margin in (0.0, 0.5):
        past, g = problem(5, 1)
        u = max(0.0, float(-(past[0] @ (g + margin * past[0])) / (past[0] @ past[0])))
        np.testing.assert_allclose(nonnegative_dual(past @ past.T, past @ g, margin), [u + margin], rtol=1e-9)


def test_scaling_the_gradient_scales_the_projection():
    past, g = problem(6, 5)
    one = nonnegative_dual(past @ past.T, past @ g, 0.0)
    np.testing.assert_allclose(nonnegative_dual(past @ past.T, 7 * past @ g, 0.0), 7 * one, rtol=1e-7)


def test_duplicate_and_zero_gradients_are_no_obstacle():
    past, g = problem(7, 3)
    past = np.vstack([past, past[0], np.zeros(50)])
    v = nonnegative_dual(past @ past.T, past @ g, 0.0)
    assert (past @ (g + past.T @ v) >= -1e-9).all()
    np.testing.assert_array_equal(nonnegative_dual(np.zeros((2, 2)), np.zeros(2), 0.3), [0.3, 0.3])
