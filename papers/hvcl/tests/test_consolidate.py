"""Oracle 2, Oracle 22, Oracle 23: consolidation, and that it is Bayes' rule where that can be computed."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from hvcl_repro.layers import Conv2DMoVE, DenseMoVE, model_consolidate, move_layers


def trained(layer, x, steps, rate=1e-2, losses=True):
    opt = tf_keras.optimizers.legacy.Adam(rate)
    target = tf.sin(3.0 * x[:, :1])
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((layer(x, training=True) - target) ** 2)
            if losses:
                loss += tf.add_n(layer.losses)
        opt.minimize(loss, layer.trainable_weights, tape=tape)
    return layer


def inputs(rows=32):
    return tf.constant(np.random.default_rng(0).normal(size=(rows, 3)), tf.float32)


def test_both_terms_vanish_right_after_consolidation():
    """Oracle 2."""
    model = tf_keras.Sequential(
        [
            tf_keras.Input((6, 6, 2)),
            Conv2DMoVE(4, 3, 3, seed=0),
            tf_keras.layers.Flatten(),
            DenseMoVE(2, 3, seed=1),
        ]
    )
    x = tf.random.Generator.from_seed(0).normal((4, 6, 6, 2))
    model(x)
    assert all(
        float(loss) > 0 for loss in (model.losses[1], model.losses[3], model.losses[5], model.losses[7])
    )
    model_consolidate(model, expert_beta=1.0, gating_beta=1.0)
    model(x)
    assert [float(model.losses[i]) for i in (1, 3, 5, 7)] == [0.0] * 4
    assert len(list(move_layers(model))) == 2


@functools.cache
def farthest(beta):
    """How far a mean has gone from its prior after a hundred steps of 5e-4, the optimiser being Adam."""
    layer = DenseMoVE(1, 2, seed=0, diversity_bonus=0.0)
    layer(inputs())
    layer.consolidate()
    layer.kl_weights.assign(beta)
    trained(layer, inputs(), 100, rate=5e-4)
    return float(tf.reduce_max(tf.abs(layer.mu - layer.mu_0)))


def test_a_huge_beta_freezes_the_experts_and_a_small_one_does_not():
    """Oracle 22."""
    frozen, free = farthest(1e6), farthest(0.0)
    assert frozen < 1e-3
    assert free > 0.02  # so the bound above is not the optimiser's own slowness


def test_the_stronger_the_beta_the_nearer_the_prior():
    assert farthest(1e6) < farthest(0.1) < farthest(0.0)


def test_beta_zero_is_plain_training_to_the_last_bit():
    """Oracle 22."""
    options = dict(seed=0, expert_beta=0.0, gating_beta=0.0, diversity_bonus=0.0)
    a = trained(DenseMoVE(1, 2, **options), inputs(), 20)
    b = trained(DenseMoVE(1, 2, **options), inputs(), 20, losses=False)
    held = trained(DenseMoVE(1, 2, **{**options, "expert_beta": 1.0}), inputs(), 20)
    for left, right in zip(a.trainable_weights, b.trainable_weights, strict=True):
        np.testing.assert_array_equal(left, right)
    assert np.any(held.mu.numpy() != a.mu.numpy())  # the term that is switched off would have been seen


def test_two_halves_in_sequence_give_the_posterior_of_all_data():
    """Oracle 23: linear regression with an orthogonal design, where a mean-field Gaussian is exact."""
    rng = np.random.default_rng(0)
    d, noise = 4, 0.5
    halves = []
    for _ in range(2):
        q, _ = np.linalg.qr(rng.normal(size=(16, d)))
        x = 4.0 * q  # x'x = 16 I
        halves.append((x, x @ np.array([1.0, -0.5, 0.3, 2.0]) + noise * rng.normal(size=16)))
    layer = DenseMoVE(
        1, 1, use_expert_bias=False, kl_reduction="sum_over_n", expert_beta=1.0, rho_sharing="full",
        rho_init=-1.0, seed=0, dtype="float64",
    )  # fmt: skip
    layer.build((None, d))
    layer.rho_0.assign(np.full((d, 1, 1), np.log(np.expm1(1.0))))  # prior N(0, 1)
    for x, y in halves:
        fit(layer, x, y, noise)
        layer.consolidate()
    x, y = (np.concatenate([half[i] for half in halves]) for i in (0, 1))
    precision = np.eye(d) + x.T @ x / noise**2
    mean = np.linalg.solve(precision, x.T @ y / noise**2)
    np.testing.assert_allclose(layer.mu[:, 0, 0], mean, rtol=0.02)
    sigma = tf.nn.softplus(layer.rho[:, 0, 0]).numpy()
    np.testing.assert_allclose(sigma, 1 / np.sqrt(np.diag(precision)), rtol=0.02)


def fit(layer, x, y, noise):
    """Full batch on the exact expectation of the squared error: (mean error)² plus the output's variance."""
    opt = tf_keras.optimizers.legacy.Adam(0.02)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            error = tf.reduce_sum((layer(x)[:, 0] - y) ** 2)
            error += tf.reduce_sum(tf.matmul(x**2, tf.nn.softplus(layer.rho[..., 0]) ** 2))
            loss = error / (2 * noise**2) + tf.add_n(layer.losses)
        gradients = tape.gradient(loss, layer.trainable_weights)
        opt.apply_gradients(zip(gradients, layer.trainable_weights, strict=True))

    for rate in (0.02, 0.002, 0.0005):
        opt.learning_rate.assign(rate)
        for _ in range(1200):
            step()


@pytest.mark.parametrize("n", [1, 3])
def test_consolidation_leaves_the_outputs_alone(n):
    layer = DenseMoVE(2, n, seed=0)
    before = layer(inputs()).numpy()
    layer.consolidate()
    np.testing.assert_array_equal(layer(inputs()), before)
