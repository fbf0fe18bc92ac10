"""Oracle 12: the convolutional layers, against tf_keras and against the dense layer."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from hvcl_repro.layers import Conv1DMoVE, Conv2DMoVE, Conv3DMoVE, ConvMoVE, DenseMoVE

KINDS = {
    1: (Conv1DMoVE, tf_keras.layers.Conv1D, (9,)),
    2: (Conv2DMoVE, tf_keras.layers.Conv2D, (9, 7)),
    3: (Conv3DMoVE, tf_keras.layers.Conv3D, (5, 6, 7)),
}


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("extra", [{}, {"strides": 2}, {"dilation_rate": 2}])
def test_one_expert_is_keras_own_convolution(rank, padding, extra):
    """Oracle 12."""
    kind, keras_kind, spatial = KINDS[rank]
    x = tf.constant(np.random.default_rng(0).normal(size=(2, *spatial, 3)), tf.float32)
    layer = kind(4, 1, 2, padding=padding, seed=0, rho_init=-40.0, expert_activation="relu", **extra)
    keras = keras_kind(4, 2, padding=padding, activation="relu", **extra)
    y = layer(x, training=True)
    keras.build(x.shape)
    keras.set_weights([layer.mu[..., 0], layer.bias[:, 0]])
    np.testing.assert_allclose(y, keras(x), atol=1e-5)
    assert tuple(layer.compute_output_shape(x.shape)) == tuple(y.shape)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_many_experts_train_at_every_rank_even_with_one_example(rank, padding):
    kind, _, spatial = KINDS[rank]
    layer = kind(4, 3, 3, padding=padding, seed=0, strides=1)
    rng = np.random.default_rng(0)
    for rows in (5, 1):  # with one example, two of three experts get none
        x = tf.constant(rng.normal(size=(rows, *spatial, 2)), tf.float32)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(layer(x, training=True) ** 2) + tf.add_n(layer.losses)
        assert len(layer.losses) == 4
        for gradient in tape.gradient(loss, layer.trainable_weights):
            assert np.all(np.isfinite(gradient))


def test_the_task_reaches_the_whole_gate_tower():
    layer = Conv2DMoVE(4, 3, (3, 3), padding="same", seed=0, diversity_bonus=0.0, gating_beta=0.0)
    x = tf.constant(np.random.default_rng(0).normal(size=(16, 6, 5, 2)), tf.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(layer(x, training=True) ** 2)
    gradients = tape.gradient(loss, [post for post, _ in layer.tower])
    assert all(float(tf.norm(gradient)) > 0 for gradient in gradients)


@pytest.mark.parametrize("k", [1, 2, "all"])
def test_a_1x1_image_is_the_dense_layer(k):
    """Oracle 12: with its weights and gates, in outputs and in all terms of the loss."""
    options = dict(k=k, seed=0, expert_activation="tanh", gating_beta=0.3, expert_beta=0.2)
    conv, dense = Conv2DMoVE(4, 3, (1, 1), **options), DenseMoVE(4, 3, rho_sharing="full", **options)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(8, 3)), tf.float32)
    image = x[:, None, None]
    conv(image), dense(x)
    conv.bias.assign(rng.normal(size=(4, 3)))
    conv.rho.assign_add(rng.normal(size=(1, 3, 4, 3)))
    for flat, full in (("mu", "mu"), ("mu_0", "mu_0")):
        getattr(dense, flat).assign(getattr(conv, full)[0, 0])
    dense.rho.assign(conv.rho[0]), dense.rho_0.assign(conv.rho_0[0]), dense.bias.assign(conv.bias)
    # The gate's tower has a hidden layer, so the dense gate is told what the tower says.
    dense._logits = lambda _, prior: conv._logits(image, side=int(prior))
    np.testing.assert_allclose(conv(image)[:, 0, 0], dense(x), atol=1e-5)
    np.testing.assert_allclose(conv.losses, dense.losses, rtol=1e-5)
    assert len(set(np.argmax(conv._logits(image, side=0), axis=1))) > 1  # not one expert for all
    assert not conv.pooled


@pytest.mark.parametrize("noise", ["flipout", "local"])
def test_noise_has_the_variance_of_the_posterior(noise):
    layer = Conv1DMoVE(2, 1, 2, seed=0, noise=noise, rho_init=-0.5)
    x = tf.constant(np.random.default_rng(0).normal(size=(1, 3, 2)), tf.float32)
    mean = layer(x).numpy()
    run = tf.function(lambda: tf.map_fn(lambda _: layer(x, training=True), tf.range(4000), tf.float32))
    draws = run().numpy()
    sigma = np.broadcast_to(tf.nn.softplus(layer.rho[..., 0]), layer.mu.shape[:-1])
    expected = tf.nn.conv1d(x**2, tf.constant(sigma, tf.float32) ** 2, 1, "VALID")
    np.testing.assert_allclose(draws.var(axis=0), expected, rtol=0.12)
    assert np.all(np.abs(draws.mean(axis=0) - mean) < 4.5 * draws.std(axis=0) / np.sqrt(len(draws)))


def test_the_gate_starts_at_a_uniform_prior_and_odd_shapes_fit():
    layer = Conv2DMoVE(4, 3, 3, seed=0)
    x = tf.constant(np.random.default_rng(0).normal(size=(4, 8, 5, 3)), tf.float32)
    layer(x)
    np.testing.assert_array_equal(layer._logits(x, side=1), np.zeros((4, 3)))
    assert layer.tower[2][0].shape == (4 * 3 * 1, 3)  # 6 x 3 after the convolution, pooled by two


def test_rho_is_shared_along_the_first_kernel_axis():
    layer = Conv2DMoVE(6, 2, (3, 5), seed=0)
    layer(tf.ones((1, 8, 8, 3)))
    assert layer.mu.shape == (3, 5, 3, 6, 2)
    assert layer.rho.shape == (5, 3, 6, 2)
    assert float(tf.reduce_mean(tf.nn.softplus(layer.rho))) == pytest.approx(0.00248, rel=0.02)


def test_channels_first_is_the_transposed_layer():
    last, first = (Conv2DMoVE(4, 2, 3, data_format=f, seed=0) for f in ("channels_last", "channels_first"))
    x = np.random.default_rng(0).normal(size=(3, 6, 5, 2)).astype(np.float32)
    y = first(x.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(last(x), np.transpose(y, (0, 2, 3, 1)), atol=1e-6)
    assert first.compute_output_shape((3, 2, 6, 5)) == (3, 4, 4, 3)


def test_round_trip_and_models_on_disk(tmp_path):
    layer = Conv2DMoVE(4, 2, (3, 3), padding="same", seed=3, k=2, expert_activation="relu")
    model = tf_keras.Sequential(
        [tf_keras.Input((6, 6, 2)), layer, tf_keras.layers.Flatten(), DenseMoVE(2, 2, seed=1)]
    )
    model.save(tmp_path / "model.keras")
    again = tf_keras.models.load_model(tmp_path / "model.keras")
    x = tf.ones((2, 6, 6, 2))
    np.testing.assert_array_equal(model(x), again(x))
    assert again.layers[0].get_config() == layer.get_config()


def test_mixed_precision():
    layer = Conv2DMoVE(4, 2, 3, seed=0, dtype="mixed_bfloat16")
    assert layer(tf.ones((2, 6, 6, 2)), training=True).dtype == tf.bfloat16
    assert all(loss.dtype == tf.float32 for loss in layer.losses)


def test_original_formulas_run_at_every_rank():
    layer = ConvMoVE(2, 4, 3, (3, 3), padding="same", compat="original", seed=0, gating_activation=None)
    layer(tf.ones((2, 6, 6, 2)), training=True)
    assert len(layer.losses) == len(layer.loss_names) == 5
    assert float(layer.losses[1]) == 0.0  # the original's constant


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"kernel_size": (3, 3, 3)}, "kernel_size"),
        ({"kernel_size": 3, "padding": "causal"}, "padding"),
        ({"kernel_size": 3, "strides": 2, "dilation_rate": 2}, "only one"),
        ({"kernel_size": 0}, "kernel_size"),
    ],
)
def test_wrong_arguments_are_refused(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        Conv2DMoVE(4, 2, **arguments)
    with pytest.raises(ValueError, match="shorter than the kernel"):
        Conv2DMoVE(4, 2, 5).build((None, 3, 3, 1))
