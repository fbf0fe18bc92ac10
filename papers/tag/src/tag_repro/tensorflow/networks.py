"""The two networks in plain TensorFlow operations: an MLP and the reduced ResNet-18.

A network is called with images uint8 (n, inputs) and returns logits float32 (n, outputs).  `weights` are what
training moves; `statistics` are the running means and variances of batch normalisation.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

STAGES = (20, 40, 80, 160)
SIDE, CHANNELS = 32, 3
BN_EPSILON, BN_KEEP = 1e-3, 0.9  # share of the old running statistics that a step keeps


class Dropout:
    """Drops entries with probability p and divides the others by 1 - p.

    Args: generator — a tf.random.Generator of its own, so that no other draw depends on it.
    """

    def __init__(self, p: float, generator: Any) -> None:
        self.p, self.generator = p, generator

    def __call__(self, h: Any) -> Any:
        """Returns h with dropped entries 0."""
        kept = self.generator.uniform(tf.shape(h)) >= self.p
        return tf.where(kept, h / (1 - self.p), 0.0)


class MLP:
    """inputs-H-H-outputs with ReLU and dropout after both hidden layers.

    Weights normal with deviation .1, redrawn beyond two deviations, and biases .1, as in the original.
    Args: hidden — H; rng — draws the weights.
    """

    def __init__(
        self, inputs: int, hidden: int, outputs: int, dropout: Dropout, rng: np.random.Generator
    ) -> None:
        self.dropout = dropout
        self.weights: list[Any] = []
        self.statistics: list[Any] = []
        for n_in, n_out in ((inputs, hidden), (hidden, hidden), (hidden, outputs)):
            self.weights.append(tf.Variable(truncated_normal(rng, (n_in, n_out), 0.1)))
            self.weights.append(tf.Variable(np.full(n_out, 0.1, np.float32)))

    def __call__(self, images: Any, *, training: bool, dropping: bool) -> Any:
        """Returns the logits; dropping — whether units are dropped."""
        h = tf.cast(images, tf.float32) / 255.0
        w1, b1, w2, b2, w3, b3 = self.weights
        for w, b in ((w1, b1), (w2, b2)):
            h = tf.nn.relu(h @ w + b)
            h = self.dropout(h) if dropping and self.dropout.p else h
        return h @ w3 + b3


class ResNetS:
    """The reduced ResNet-18: widths 20, 40, 80, 160, two blocks of two 3×3 convolutions, one linear head.

    Weights uniform in ±1/√(k c_in), k the filter's side.  P = 1,109,240 for 100 outputs, more than the
    PyTorch ResNet-S, whose blocks have one 3×3 convolution.
    Args: mean — of the training images, float32 (inputs,), taken off every image; rng — draws the weights.
    """

    def __init__(
        self, outputs: int, mean: NDArray[np.float32], dropout: Dropout, rng: np.random.Generator
    ) -> None:
        self.dropout, self.rng = dropout, rng
        self.mean = tf.constant(mean)
        self.weights: list[Any] = []
        self.statistics: list[Any] = []
        self.stem = self._conv(3, CHANNELS, STAGES[0])
        self.blocks: list[tuple[Any, Any, Any | None, int]] = []
        n_in = STAGES[0]
        for number, width in enumerate(STAGES):
            for place in range(2):
                stride = 2 if number and not place else 1
                shortcut = self._conv(1, n_in, width) if n_in != width else None
                self.blocks.append(
                    (self._conv(3, n_in, width), self._conv(3, width, width), shortcut, stride)
                )
                n_in = width
        bound = 1 / np.sqrt(n_in)
        self.head = self._weight((n_in, outputs), bound), self._weight((outputs,), bound)

    def _weight(self, shape: tuple[int, ...], bound: float) -> Any:
        self.weights.append(tf.Variable(self.rng.uniform(-bound, bound, shape).astype(np.float32)))
        return self.weights[-1]

    def _conv(self, side: int, n_in: int, n_out: int) -> tuple[Any, ...]:
        """(filter, scale, offset, mean, variance) of a convolution with its batch normalisation."""
        kernel = self._weight((side, side, n_in, n_out), 1 / np.sqrt(side * n_in))
        scale, offset = tf.Variable(tf.ones(n_out)), tf.Variable(tf.zeros(n_out))
        mean, variance = tf.Variable(tf.zeros(n_out)), tf.Variable(tf.ones(n_out))
        self.weights += [scale, offset]
        self.statistics += [mean, variance]
        return kernel, scale, offset, mean, variance

    def __call__(self, images: Any, *, training: bool, dropping: bool) -> Any:
        """Returns the logits; training — normalise by the batch and move the running statistics."""
        h = tf.cast(images, tf.float32) / 255.0 - self.mean
        h = tf.transpose(tf.reshape(h, (-1, CHANNELS, SIDE, SIDE)), (0, 2, 3, 1))
        h = tf.nn.relu(convolved(h, self.stem, 1, training))
        for first, second, shortcut, stride in self.blocks:
            inner = tf.nn.relu(convolved(h, first, stride, training))
            inner = convolved(inner, second, 1, training)
            h = tf.nn.relu(inner + (h if shortcut is None else convolved(h, shortcut, stride, training)))
            h = self.dropout(h) if dropping and self.dropout.p else h
        w, b = self.head
        return tf.reduce_mean(h, (1, 2)) @ w + b


def convolved(h: Any, layer: tuple[Any, ...], stride: int, training: bool) -> Any:
    """Returns the normalised convolution of h (n, height, width, c_in), size kept but for the stride."""
    kernel, scale, offset, mean, variance = layer
    h = tf.nn.conv2d(h, kernel, stride, "SAME")
    if not training:
        return tf.nn.batch_normalization(h, mean, variance, offset, scale, BN_EPSILON)
    batch = tf.raw_ops.FusedBatchNormV3(
        x=h, scale=scale, offset=offset, mean=[], variance=[], epsilon=BN_EPSILON, is_training=True
    )
    for running, new in ((mean, batch.batch_mean), (variance, batch.batch_variance)):
        running.assign(BN_KEEP * running + (1 - BN_KEEP) * new)
    return batch.y


def truncated_normal(rng: np.random.Generator, shape: tuple[int, ...], sd: float) -> NDArray[np.float32]:
    """Returns normal numbers of deviation sd, none beyond two deviations."""
    found = rng.normal(size=shape)
    while (wide := np.abs(found) > 2).any():
        found[wide] = rng.normal(size=int(wide.sum()))
    return (sd * found).astype(np.float32)
