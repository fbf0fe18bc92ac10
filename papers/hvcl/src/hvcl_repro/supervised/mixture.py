"""What a trained mixture is like: how far its experts differ, how many are used, and who still goes where.

Only looks: nothing here draws a number or changes a weight.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hvcl_repro.layers import MoVE
from hvcl_repro.supervised.networks import run_layer

BATCH = 1000


def mixtures(layers: Sequence[Any]) -> list[Any]:
    """Returns those layers that choose among two experts or more."""
    return [layer for layer in layers if isinstance(layer, MoVE) and layer.n_experts > 1]


def gate_weights(layers: Sequence[Any], x: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Returns for each mixture the weights (images, n) with which its experts answer at evaluation.

    Args: layers — from image to logits; x — flat images (images, inputs).
    """
    found: list[list[Any]] = [[] for _ in mixtures(layers)]
    for start in range(0, len(x), BATCH):
        y = tf.cast(x[start : start + BATCH], tf.float32) / 255.0
        into = iter(found)
        for layer in layers:
            if isinstance(layer, MoVE) and layer.n_experts > 1:
                next(into).append(layer.gates(y).numpy())
            y = run_layer(layer, y, training=False)
    return [np.concatenate(parts) for parts in found]


def experts_used(weights: list[NDArray[np.float32]]) -> float:
    """Returns exp(entropy of the mean weights), mean over layers: n where all experts do the same share of
    the work, 1 where one does everything.
    """
    means = [w.mean(axis=0, dtype=np.float64) for w in weights]
    return float(np.mean([np.exp(-np.sum(p[p > 0] * np.log(p[p > 0]))) for p in means]))


def routes(weights: list[NDArray[np.float32]]) -> NDArray[np.int64]:
    """Returns (layers, images): the expert of largest weight."""
    return np.stack([w.argmax(axis=1) for w in weights])


def determinant(layers: Sequence[Any]) -> float:
    """Returns det K, mean over the mixtures: 0 where two experts are alike, 1 where all are far apart.

    Source: spec 4.2; the layer's own term of the loss, before its weight.
    """
    return float(np.mean([float(layer.determinant()) for layer in mixtures(layers)]))
