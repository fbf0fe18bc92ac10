"""Oracle 1, Oracle 2, Oracle 3, Oracle 4: the terms against closed forms, SciPy and Monte Carlo."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import tensorflow as tf

from hvcl_repro.layers import divergence


def gaussians(rng, shape=(5, 3, 2)):
    mu, mu_0 = rng.normal(size=shape), rng.normal(size=shape)
    sigma, sigma_0 = rng.uniform(0.3, 2, shape[1:]), rng.uniform(0.3, 2, shape[1:])
    return mu, sigma, mu_0, sigma_0


# --- Oracle 1: the KL of Gaussians (its reduction over rows: test_dense.py) -----------------------------


def test_kl_of_the_check_value_in_the_contract():
    """Its diag(1, 0.5) holds deviations: 0.5 (0.25 + 1 - 1 - log 0.25)."""
    mu, sigma = np.array([[[0.0], [1.0]]]), np.array([[[1.0], [0.5]]])
    kl = divergence.gaussian_kl(mu, sigma, np.zeros_like(mu), np.ones_like(mu))
    assert float(kl) == pytest.approx(0.81815, abs=5e-6)


def test_kl_against_monte_carlo():
    rng = np.random.default_rng(0)
    mu, sigma, mu_0, sigma_0 = gaussians(rng, (3, 2, 2))
    kl = float(divergence.gaussian_kl(mu, sigma, mu_0, sigma_0))
    draws = mu + sigma * rng.normal(size=(200_000, *mu.shape))
    log_ratio = scipy.stats.norm.logpdf(draws, mu, sigma) - scipy.stats.norm.logpdf(draws, mu_0, sigma_0)
    each = log_ratio.reshape(len(draws), -1).sum(axis=1)
    assert abs(each.mean() - kl) < 4 * each.std() / math.sqrt(len(each))


def test_kl_with_a_shared_scale_equals_the_scale_written_out():
    mu, sigma, mu_0, sigma_0 = gaussians(np.random.default_rng(1))
    full = divergence.gaussian_kl(
        mu, np.broadcast_to(sigma, mu.shape), mu_0, np.broadcast_to(sigma_0, mu.shape)
    )
    assert float(divergence.gaussian_kl(mu, sigma, mu_0, sigma_0)) == pytest.approx(float(full), rel=1e-12)


def test_kl_is_zero_at_the_prior_and_never_negative():
    rng = np.random.default_rng(2)
    for _ in range(20):
        mu, sigma, mu_0, sigma_0 = gaussians(rng)
        assert float(divergence.gaussian_kl(mu, sigma, mu, sigma)) == 0.0
        assert float(divergence.gaussian_kl(mu, sigma, mu_0, sigma_0)) > 0


# --- Oracle 2: the gate's KL (right after consolidation: test_consolidate.py) ---------------------------


def test_gate_kl_against_scipy():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(7, 4)), rng.normal(size=(7, 4))
    p, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (a, b))
    assert float(divergence.gate_kl(a, b)) == pytest.approx(
        scipy.stats.entropy(p, q, axis=1).mean(), abs=1e-9
    )


def test_gate_kl_survives_extreme_logits():
    a = tf.constant([[80.0, -80.0], [-80.0, 80.0]])
    assert math.isfinite(float(divergence.gate_kl(a, -a)))
    assert float(divergence.gate_kl(a, a)) == 0.0


# --- Oracle 3: the information between gate and input -------------------------------------------------


def test_information_of_a_balanced_certain_gate_is_log_n():
    assert float(divergence.mutual_information(80.0 * tf.eye(4))) == pytest.approx(math.log(4), abs=1e-5)


def test_information_of_a_gate_that_ignores_its_input_is_zero():
    rows = tf.tile([[0.3, -1.0, 2.0]], [9, 1])
    assert float(divergence.mutual_information(rows)) == pytest.approx(0, abs=1e-6)


def test_information_against_scipy():
    p = np.random.default_rng(3).dirichlet(np.ones(4), 7)
    expected = scipy.stats.entropy(p.mean(axis=0)) - scipy.stats.entropy(p, axis=1).mean()
    assert float(divergence.mutual_information(np.log(p))) == pytest.approx(expected, rel=1e-9)


def test_information_has_a_finite_gradient_where_probabilities_underflow():
    logits = tf.Variable([[200.0, -200.0], [200.0, -200.0]])
    with tf.GradientTape() as tape:
        value = divergence.mutual_information(logits)
    assert np.all(np.isfinite(tape.gradient(value, logits)))


# --- Oracle 4: distances and the determinant (of layers as they start: test_dense.py) -------------------


def test_distance_against_the_formula_with_matrix_roots():
    rng = np.random.default_rng(4)
    mu, sigma = rng.normal(size=(2, 3, 2)), rng.uniform(0.2, 1.5, (2, 3, 2))
    w = divergence.wasserstein(tf.constant(mu), tf.constant(sigma)).numpy()
    a, b = (np.diag(sigma[i].ravel() ** 2) for i in (0, 1))
    root = scipy.linalg.sqrtm(a)
    cross = scipy.linalg.sqrtm(root @ b @ root).real
    expected = ((mu[0] - mu[1]) ** 2).sum() + np.trace(a + b - 2 * cross)
    assert w[0, 1] == pytest.approx(expected, rel=1e-9)
    shared = divergence.wasserstein(tf.constant(mu), tf.constant(sigma[:, 0])).numpy()
    written = divergence.wasserstein(
        tf.constant(mu), tf.constant(np.broadcast_to(sigma[:, :1], mu.shape))
    ).numpy()
    np.testing.assert_allclose(shared, written, rtol=1e-12)


def test_determinant_of_equal_far_and_two_experts():
    equal = tf.constant(np.ones((3, 4, 3)))
    assert float(determinant(equal)) == pytest.approx(0, abs=1e-12)
    far = tf.constant(1e3 * np.random.default_rng(5).normal(size=(3, 4, 3)))
    assert float(determinant(far)) == pytest.approx(1, abs=1e-12)
    two = tf.constant(np.random.default_rng(6).normal(size=(2, 2, 2)))
    k = divergence.kernel(divergence.wasserstein(two, tf.ones((2, 2), tf.float64)), 10.0).numpy()
    assert k[0, 1] == pytest.approx(math.exp(-float(tf.reduce_sum((two[0] - two[1]) ** 2)) / 10), rel=1e-9)
    assert float(divergence.diversity(tf.constant(k))) == pytest.approx(1 - k[0, 1] ** 2, abs=1e-12)


def determinant(mu):
    return divergence.diversity(
        divergence.kernel(divergence.wasserstein(mu, tf.ones((mu.shape[0], mu.shape[2]), mu.dtype)), 10.0)
    )


def test_kernel_is_symmetric_and_positive_semidefinite():
    rng = np.random.default_rng(7)
    for n in (2, 5, 8):
        mu = tf.constant(rng.normal(size=(n, 6, 4)), tf.float32)
        sigma = tf.constant(rng.uniform(0.1, 1, (n, 4)), tf.float32)
        k = divergence.kernel(divergence.wasserstein(mu, sigma), 10.0).numpy()
        np.testing.assert_allclose(k, k.T, atol=1e-6)
        assert np.linalg.eigvalsh(k).min() > -1e-6
        assert np.all(np.diag(k) == 1)


@pytest.mark.parametrize("n", [2, 9])
def test_its_gradient_drives_close_experts_apart(n):
    start = np.random.default_rng(8).normal(size=(n, 4, 3)) * 0.1
    mu = tf.Variable(start)
    with tf.GradientTape() as tape:
        loss = -determinant(mu)
    step = mu - 0.01 * tape.gradient(loss, mu)
    before = divergence.wasserstein(tf.constant(start), tf.ones((n, 3), tf.float64)).numpy()
    after = divergence.wasserstein(step, tf.ones((n, 3), tf.float64)).numpy()
    assert after[0, 1] > before[0, 1] or n > 2
    assert after.sum() > before.sum()
    assert float(determinant(step)) > float(determinant(tf.constant(start)))


def test_logarithm_of_the_determinant_above_eight_experts():
    mu = tf.constant(np.random.default_rng(9).normal(size=(9, 6, 4)))
    k = divergence.kernel(divergence.wasserstein(mu, tf.ones((9, 4), tf.float64)), 10.0)
    expected = np.linalg.slogdet(k.numpy() + 1e-6 * np.eye(9))[1]
    assert float(divergence.diversity(k)) == pytest.approx(expected, rel=1e-9)
