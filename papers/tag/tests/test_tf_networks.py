"""The TensorFlow networks, losses and optimizers, by hand; skipped without TensorFlow."""

# ruff: noqa: E402  (what needs TensorFlow is imported after the look whether it is there)

import importlib.util

import numpy as np
import pytest

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)

from clrepro.adapters import tf as adapter

adapter.configure()

import tensorflow as tf

from tag_repro.tensorflow.losses import loss_and_gradients, mean_loss
from tag_repro.tensorflow.networks import MLP, Dropout, ResNetS, truncated_normal
from tag_repro.tensorflow.optimizers import Optimizer


def flat(arrays):
    return np.concatenate([np.asarray(a).ravel() for a in arrays])


def test_the_loss_is_that_on_the_own_outputs():
    rng = np.random.default_rng(0)
    logits, y = tf.Variable(rng.normal(size=(5, 6))), np.array([0, 1, 2, 5, 3])
    loss, (g,) = loss_and_gradients(lambda: mean_loss(logits, tf.constant(y), 2), [logits])
    own = np.array([logits.numpy()[i, k - k % 2 : k - k % 2 + 2] for i, k in enumerate(y)])
    expected = np.mean(np.log(np.exp(own).sum(axis=1)) - own[np.arange(5), y % 2])
    assert float(loss) == pytest.approx(expected)
    foreign = np.arange(6) // 2 != (y // 2)[:, None]
    assert (g.numpy()[foreign] == 0).all()
    assert (g.numpy()[~foreign] != 0).all()


def test_dropout_keeps_the_mean():
    drop = Dropout(0.25, adapter.generator(1))
    out = drop(tf.ones((200, 200))).numpy()
    assert sorted(set(out.ravel().round(4))) == [0, 1.3333]
    assert out.mean() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("name", ["SGD", "MOMENTUM", "ADAM"])
def test_optimizers_by_hand(name):
    w = tf.Variable([1.0, -2.0])
    optimizer = Optimizer(name, [w])
    optimizer.set_rate(0.1)
    x, m, v = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    for number, g in enumerate(np.array([[0.5, -1.0], [0.2, 3.0], [-0.7, 0.1]]), 1):
        optimizer.apply([tf.constant(g, tf.float32)])
        if name == "SGD":
            x = x - 0.1 * g
        elif name == "MOMENTUM":
            m = 0.9 * m + g
            x = x - 0.1 * m
        else:
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            x = x - 0.1 * (m / (1 - 0.9**number)) / (np.sqrt(v / (1 - 0.999**number)) + 1e-8)
        np.testing.assert_allclose(w.numpy(), x, rtol=2e-4)
    optimizer.restart()
    assert all(not slot.numpy().any() for slots in optimizer.slots for slot in slots)


def test_the_resnet_normalises_by_the_batch_in_training_alone():
    drop = Dropout(0.0, adapter.generator(0))
    network = ResNetS(100, np.full(3072, 0.5, np.float32), drop, np.random.default_rng(0))
    assert sum(int(tf.size(w)) for w in network.weights) == resnet_size()
    x = np.random.default_rng(1).integers(0, 256, (6, 3072)).astype(np.uint8)
    start = flat(network.statistics)
    plain = network(x, training=False, dropping=False)
    assert plain.shape == (6, 100)
    assert (flat(network.statistics) == start).all()
    one = network(x[:1], training=False, dropping=False)
    np.testing.assert_allclose(one[0], plain[0], atol=1e-4)  # no example looks at another
    stem = tf.nn.conv2d(to_image(x), network.stem[0], 1, "SAME").numpy()
    network(x, training=True, dropping=False)
    mean, variance = (network.stem[k].numpy() for k in (3, 4))
    np.testing.assert_allclose(mean, 0.1 * stem.mean(axis=(0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(variance, 0.9 + 0.1 * stem.var(axis=(0, 1, 2)), rtol=1e-3)


def to_image(x):
    return (x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1) / np.float32(255) - 0.5).astype(np.float32)


def resnet_size():
    """Filters, two numbers per normalised channel, and the head, layer by layer."""
    total = 27 * 20 + 40
    for n_in, width in ((20, 20), (20, 40), (40, 80), (80, 160)):
        total += 9 * (n_in * width + 3 * width * width) + 8 * width
        total += (n_in * width + 2 * width) if n_in != width else 0
    return total + 160 * 100 + 100


def test_the_resnet_has_the_size_its_docstring_says():
    assert f"{resnet_size():,}" in (ResNetS.__doc__ or "")


def test_the_mlp_by_hand():
    drop = Dropout(0.25, adapter.generator(0))
    network = MLP(784, 256, 10, drop, np.random.default_rng(0))
    assert sum(int(tf.size(w)) for w in network.weights) == 269_322
    w1, b1, w2, b2, w3, b3 = adapter.values(network.weights)
    assert (b1 == np.float32(0.1)).all()
    x = np.random.default_rng(1).integers(0, 256, (4, 784)).astype(np.uint8)
    h = np.maximum(x / 255 @ w1 + b1, 0)
    expected = np.maximum(h @ w2 + b2, 0) @ w3 + b3
    found = network(x, training=False, dropping=False).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert (network(x, training=True, dropping=True).numpy() != found).any()


def test_no_initial_weight_lies_beyond_two_deviations():
    drawn = truncated_normal(np.random.default_rng(0), (300, 300), 0.1)
    assert np.abs(drawn).max() <= 0.2
    assert drawn.std() == pytest.approx(0.088, abs=1e-3)  # of a normal cut at two deviations
