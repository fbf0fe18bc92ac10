"""Oracle 5, Oracle 6, Oracle 10, Oracle 11, and the layers' share of Oracle 1, Oracle 4 and Oracle 8."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from hvcl_repro.layers import DenseMoVE, model_consolidate


def built(*args, d=3, **options):
    layer = DenseMoVE(*args, **{"seed": 0, **options})
    layer.build((None, d))
    return layer


@pytest.mark.parametrize("noise", ["flipout", "local"])
@pytest.mark.parametrize("sharing", ["unit", "full"])
def test_noise_has_the_mean_and_variance_of_the_posterior(noise, sharing):
    """Oracle 5."""
    layer = built(2, 1, noise=noise, rho_sharing=sharing, rho_init=-0.5)
    x = tf.constant([[0.5, -1.0, 2.0], [1.0, 0.3, 1.2]])
    mean, draws = layer(x).numpy(), drawn(layer, x)
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(axis=0) - mean) < 4 * error)
    sigma = np.broadcast_to(tf.nn.softplus(layer.rho[..., 0]), (3, 2))
    np.testing.assert_allclose(draws.var(axis=0), (x.numpy() ** 2) @ sigma**2, rtol=0.05)
    apart = np.corrcoef(draws.reshape(len(draws), 4).T)  # two examples with two units each
    assert np.abs(apart - np.eye(4)).max() < 0.05


def drawn(layer, x, passes=10_000):
    """Returns (passes, examples, units) of as many forward passes in training."""
    run = tf.function(lambda: tf.map_fn(lambda _: layer(x, training=True), tf.range(passes), tf.float32))
    return run().numpy()


def test_flipout_has_signs_on_both_sides_of_its_draw():
    """Oracle 5: equal examples differ in more than a sign; units of two examples in more than a factor."""
    layer = built(2, 1, d=1, rho_init=0.0)
    y = drawn(layer, tf.ones((2, 1)), 2000) - layer(tf.ones((2, 1)))
    assert -0.1 < np.mean(np.sign(np.prod(y, axis=(1, 2)))) < 0.1  # 1 without the outputs' signs
    layer = built(2, 1, d=3, rho_init=0.0)
    y = np.abs(drawn(layer, tf.ones((2, 3)), 100) - layer(tf.ones((2, 3))))
    assert np.any(np.abs(y[:, 0] - y[:, 1]) > 0.1)  # 0 without the inputs' signs


def test_without_spread_training_is_deterministic():
    """Oracle 5."""
    layer = built(4, 1, rho_init=-40.0)
    x = tf.random.Generator.from_seed(0).normal((5, 3))
    np.testing.assert_allclose(layer(x, training=True), layer(x, training=False), atol=1e-6)


def test_one_expert_is_a_bayesian_dense_layer_with_one_loss():
    """Oracle 6."""
    layer = built(4, 1, expert_activation="tanh")
    x = tf.constant(np.random.default_rng(0).normal(size=(6, 3)), tf.float32)
    layer.bias.assign(np.random.default_rng(1).normal(size=(4, 1)))
    y = layer(x)
    np.testing.assert_allclose(y, np.tanh(x @ layer.mu[..., 0] + layer.bias[:, 0]), atol=1e-6)
    assert len(layer.losses) == len(layer.loss_names) == 1
    assert not any("gating_kernel" in weight.name for weight in layer.weights)


@pytest.mark.parametrize(("units", "n", "d"), [(64, 4, 28), (5, 1, 7)])
def test_parameter_counts_of_the_contract(units, n, d):
    """Oracle 6."""
    layer = built(units, n, d=d)
    trainable = d * units * n + 2 * units * n + (n > 1) * (d * n + n)
    assert sum(int(tf.size(weight)) for weight in layer.trainable_weights) == trainable
    assert layer.count_params() == 2 * trainable + 2


def test_losses_come_by_name_in_order_and_alive():
    layer = built(8, 3, d=5, diversity_bonus=1.0)
    x = tf.constant(np.random.default_rng(0).normal(size=(16, 5)), tf.float32)
    layer(x, training=True)
    losses = dict(zip(layer.loss_names, map(float, layer.losses), strict=True))
    assert list(losses) == ["gate_mi", "gate_kl", "diversity", "expert_kl"]
    assert losses["gate_mi"] < 0 < losses["gate_kl"]
    assert -0.99 < losses["diversity"] < -0.01
    assert losses["expert_kl"] > 0


def test_row_mean_is_the_sum_over_rows_and_experts_divided():
    """Oracle 1: the whole sum over (rows · experts), or over the number of examples."""
    layer, exact = (
        built(8, 3, d=5, kl_reduction=r, n_train=7.0, expert_beta=0.5) for r in ("row_mean", "sum_over_n")
    )
    mu, rho, rho_0 = (v.numpy().astype(float) for v in (layer.mu, layer.rho, layer.rho_0))
    s, s_0 = np.log1p(np.exp(rho)), np.log1p(np.exp(rho_0))
    total = np.sum(np.log(s_0 / s) + (s**2 + mu**2) / (2 * s_0**2) - 0.5)  # the prior's means are 0
    x = tf.ones((4, 5))
    layer(x), exact(x)
    assert float(layer.losses[3]) == pytest.approx(0.5 * total / (5 * 3), rel=1e-5)
    assert float(exact.losses[3]) == pytest.approx(0.5 * total / 7, rel=1e-5)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
@pytest.mark.parametrize("units", [8, 64])
def test_diversity_is_alive_at_the_defaults(n, units):
    """Oracle 4: distances in units of a He start, where they are 4n/3 instead of 4 · units."""
    layer = built(units, n, d=28)
    with tf.GradientTape() as tape:
        layer(tf.ones((2, 28)))
        loss = layer.losses[2]
    mu, sigma = np.moveaxis(layer.mu.numpy(), -1, 0), np.moveaxis(np.log1p(np.exp(layer.rho)), -1, 0)
    w = [[((a - b) ** 2).sum() + 28 * ((s - r) ** 2).sum() for b, r in zip(mu, sigma, strict=True)]
         for a, s in zip(mu, sigma, strict=True)]  # fmt: skip
    k = np.exp(-np.array(w) * (4 * n / 3) / (4 * units) / 10.0)
    assert np.all((k[~np.eye(n, dtype=bool)] > 0.4) & (k[~np.eye(n, dtype=bool)] < 0.8))
    assert -float(loss) == pytest.approx(np.linalg.det(k), rel=1e-3)
    gradient = tape.gradient(loss, layer.mu)
    assert float(tf.norm(gradient)) > 1e-4


def test_the_task_reaches_the_gate_at_k_1():
    """Oracle 8."""
    layer = built(4, 3, k=1, gating_beta=0.0, diversity_bonus=0.0)
    x = tf.constant(np.random.default_rng(0).normal(size=(32, 3)), tf.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(layer(x, training=True) ** 2)
    assert float(tf.norm(tape.gradient(loss, layer.gate))) > 1e-3
    original = built(4, 3, k=1, compat="original")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(original(x, training=True) ** 2)
    assert float(tf.norm(tape.gradient(loss, original.gate))) == 0.0


def test_evaluation_repeats_itself_and_training_does_not():
    """Oracle 8."""
    layer = built(4, 3)
    x = tf.ones((8, 3))
    np.testing.assert_array_equal(layer(x), layer(x))
    assert np.any(layer(x, training=True) != layer(x, training=True))
    stochastic = built(4, 3, stochastic_eval=True)
    assert np.any(stochastic(x) != stochastic(x))


@pytest.mark.parametrize("noise", ["flipout", "local"])
@pytest.mark.parametrize("sharing", ["unit", "full"])
def test_rows_of_zeros_have_a_finite_gradient(noise, sharing):
    layer = built(4, 2, noise=noise, rho_sharing=sharing)
    x = tf.Variable(tf.zeros((5, 3)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x, training=True) ** 2) + tf.add_n(layer.losses)
    for gradient in tape.gradient(loss, [x, *layer.trainable_weights]):
        assert np.all(np.isfinite(gradient))


def test_finite_differences_in_double_precision():
    """Oracle 10: single entries, and all at once along a random direction."""
    layer = DenseMoVE(3, 3, k="all", expert_activation="tanh", seed=1, dtype="float64", diversity_bonus=0.3)
    x = tf.constant(np.random.default_rng(0).normal(size=(6, 4)))
    layer(x)
    start = tf.identity(layer.random.generator.state)
    layer.gate_0.assign(0.3 * tf.ones_like(layer.gate_0))

    def loss():
        layer.random.generator.state.assign(start)
        y = layer(x, training=True)
        return tf.reduce_sum(y**2) + tf.add_n(layer.losses)

    for weight in (layer.mu, layer.rho, layer.gate):
        with tf.GradientTape() as tape:
            value = loss()
        gradient = tape.gradient(value, weight).numpy()
        first, last = np.zeros((2, *weight.shape))
        first.flat[0] = last.flat[-1] = 1
        for direction in (first, last, np.random.default_rng(2).normal(size=weight.shape)):
            step = 1e-5 * direction
            weight.assign_add(step)
            up = float(loss())
            weight.assign_sub(2 * step)
            down = float(loss())
            weight.assign_add(step)
            slope = float(np.sum(gradient * direction))
            assert slope == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-7)


@tf_keras.saving.register_keras_serializable(package="test")
def my_kl(q, p):
    from tensorflow_probability import distributions as tfd

    return tfd.kl_divergence(q, p)


@tf_keras.saving.register_keras_serializable(package="test")
def my_entropy(p):
    return p.entropy()


def test_config_and_weights_round_trip():
    """Oracle 11."""
    options = dict(
        expert_activation=tf.nn.relu, gating_activation=tf.nn.softmax, gating_beta=0.5, expert_beta=0.2, k=2,
        kernel_width=3.0, diversity_bonus=0.05, kl_div_fun=my_kl, entropy_fun=my_entropy, rho_init=-1.0,
        expert_kernel_regularizer="l2", kl_reduction="sum_over_n", n_train=10.0, noise="local", seed=5,
    )  # fmt: skip
    layer = built(4, 3, **options)
    again = DenseMoVE.from_config(layer.get_config())
    again.build((None, 3))
    assert again.get_config() == layer.get_config()
    layer.mu.assign_add(tf.ones_like(layer.mu))
    again.set_weights(layer.get_weights())
    x = tf.constant(np.random.default_rng(0).normal(size=(9, 3)), tf.float32)
    np.testing.assert_array_equal(layer(x, training=True), again(x, training=True))
    np.testing.assert_allclose([float(v) for v in layer.losses], [float(v) for v in again.losses])


def test_the_users_divergences_give_the_closed_forms():
    closed, given = built(4, 3), built(4, 3, kl_div_fun=my_kl, entropy_fun=my_entropy)
    x = tf.constant(np.random.default_rng(0).normal(size=(9, 3)), tf.float32)
    closed(x), given(x)
    np.testing.assert_allclose([float(v) for v in closed.losses], [float(v) for v in given.losses], rtol=2e-5)


@pytest.mark.parametrize("kind", ["keras", "savedmodel", "weights"])
def test_models_are_saved_and_loaded(tmp_path, kind):
    """Oracle 11."""

    def model(seed):
        layers = [DenseMoVE(8, 3, seed=seed, expert_activation="relu"), DenseMoVE(2, 2, seed=seed + 1)]
        return tf_keras.Sequential([tf_keras.Input((4,)), *layers])

    first, x = model(0), tf.ones((5, 4))
    first.layers[0].kl_weights.assign(0.7)
    if kind != "weights":
        file = tmp_path / ("model.keras" if kind == "keras" else "model")
        first.save(file)
        second = tf_keras.models.load_model(file)
    else:
        first.save_weights(tmp_path / "model.weights.h5")
        second = model(9)
        second.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(first(x), second(x))
    assert float(second.layers[0].kl_weights) == pytest.approx(0.7)


def test_mixed_precision_keeps_its_terms_in_full():
    layer = DenseMoVE(8, 3, seed=0, dtype="mixed_float16")
    layer.build((None, 4))
    layer.consolidate()
    x = tf.constant(np.random.default_rng(0).normal(size=(16, 4)), tf.float32)
    with tf.GradientTape() as tape:
        y = layer(x, training=True)
        loss = tf.cast(tf.reduce_mean(y**2), tf.float32) + tf.add_n(layer.losses)
    assert y.dtype == tf.float16
    assert layer.mu.dtype == tf.float32
    assert float(layer.losses[3]) == 0.0
    assert all(np.all(np.isfinite(g)) for g in tape.gradient(loss, layer.trainable_weights))


def test_no_retrace_when_betas_change_and_after_consolidation():
    model = tf_keras.Sequential([tf_keras.Input((4,)), DenseMoVE(8, 3, seed=0), DenseMoVE(2, 3, seed=1)])

    @tf.function
    def step(x):
        return tf.reduce_sum(model(x, training=True)) + tf.add_n(model.losses)

    for beta in (0.1, 0.5, 1.0):
        step(tf.ones((6, 4)))
        model_consolidate(model, expert_beta=beta, gating_beta=beta)
    assert step.experimental_get_tracing_count() == 1
    assert float(model.layers[0].kl_weights) == 1.0


def test_any_rank_and_the_arguments_of_the_original():
    layer = DenseMoVE(4, 2, k=9, input_dim=3, seed=0)
    flat = layer(tf.ones((10, 3)))
    np.testing.assert_allclose(layer(tf.ones((2, 5, 3))), tf.reshape(flat, (2, 5, 4)), rtol=1e-6)
    assert layer.compute_output_shape((None, 5, 3)) == (None, 5, 4)
    with pytest.warns(UserWarning, match="attn is accepted and ignored"):
        DenseMoVE(4, 2, attn=True)


def test_no_examples_at_all():
    assert built(4, 3)(tf.zeros((0, 3)), training=True).shape == (0, 4)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"units": 0, "n_experts": 2}, "units"),
        ({"units": 2, "n_experts": 0}, "n_experts"),
        ({"units": 2, "n_experts": 2, "expert_beta": -1}, "expert_beta"),
        ({"units": 2, "n_experts": 2, "noise": "loud"}, "noise"),
        ({"units": 2, "n_experts": 2, "gating_activation": "relu"}, "distribution over experts"),
        ({"units": 2, "n_experts": 2, "kernel_width": 0}, "kernel_width"),
    ],
)
def test_wrong_arguments_are_refused(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        DenseMoVE(**arguments)
