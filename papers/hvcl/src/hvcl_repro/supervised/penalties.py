"""What the baselines add: the importance of every weight (EWC, SI) or node (UCL), or old answers (LwF).

EWC and SI hold the weights by a quadratic, whose gradient is written down: importance · (theta - anchor).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp

from hvcl_repro import ucl

Tensor = Any
TEMPERATURE = 2.0  # of LwF, as in van de Ven et al. 2022
SI_DAMPING = 0.1


class Quadratic:
    """Weights held at their values after the last task, each as strongly as it matters."""

    def __init__(self, weights: list[Any]) -> None:
        self.importance = [tf.Variable(tf.zeros_like(w), trainable=False) for w in weights]
        self.anchor = [tf.Variable(w, trainable=False) for w in weights]

    def gradients(self, weights: list[Any]) -> list[Tensor]:
        """Returns importance · (theta - anchor) for every weight."""
        return [i * (w - a) for i, w, a in zip(self.importance, weights, self.anchor, strict=True)]

    def close(self, weights: list[Any], more: list[Tensor]) -> None:
        """Add to the importance and move the anchor here; once per task."""
        for i, a, w, m in zip(self.importance, self.anchor, weights, more, strict=True):
            i.assign_add(m)
            a.assign(w)

    def state(self) -> list[Any]:
        """Returns all arrays."""
        return [v.numpy() for v in (*self.importance, *self.anchor)]

    def load(self, state: list[Any]) -> None:
        """Continue from what `state` returned."""
        for v, saved in zip((*self.importance, *self.anchor), state, strict=True):
            v.assign(saved)


class PathIntegral:
    """Synaptic Intelligence: how much each weight's own movement has lowered the loss.

    Source: Zenke et al. 2017: omega = sum of -gradient · step, divided by (total movement)² + damping.
    """

    def __init__(self, weights: list[Any]) -> None:
        self.omega = [tf.Variable(tf.zeros_like(w), trainable=False) for w in weights]

    def add(self, gradients: list[Tensor], before: list[Tensor], weights: list[Any]) -> None:
        """Note one step; gradients of the task's loss alone."""
        for o, g, b, w in zip(self.omega, gradients, before, weights, strict=True):
            o.assign_sub(g * (w - b))

    def importance(self, start: list[Any], weights: list[Any], c: float) -> list[Tensor]:
        """Returns 2c · max(omega, 0) / (movement² + damping) since `start`, and begins anew."""
        out = []
        for o, s, w in zip(self.omega, start, weights, strict=True):
            out.append(2.0 * c * tf.maximum(o, 0.0) / (tf.square(w - s) + SI_DAMPING))
            o.assign(tf.zeros_like(o))
        return out


class CertainNodes:
    """UCL: means of weights into and out of certain nodes are held, biases as weights into their node.

    Args: rho_init — of every node at the start; beta — weight of the deviations' term; batch — images.
    Source: Ahn et al. 2019, equation 8 (see `hvcl_repro.ucl`), divided by the batch size as in the authors'
    code, which holds the biases too.
    Differs from the authors' code: in the first task nothing but the deviations' term, no weight decay; one
    deviation at the start for all layers; deviations are learned at the rate of everything else.
    """

    def __init__(self, rho_init: float, beta: float, batch: int) -> None:
        self.beta, self.batch = beta, batch
        self.initial = math.log1p(math.exp(rho_init))

    def loss(self, layers: Sequence[Any], *, later: bool) -> Tensor:
        """Returns the penalty, a scalar.

        Args: layers — MoVE of one expert and one deviation per node, from input to output; their priors are
        what they are held to; later — whether a task has been learned before.
        """
        total, below = tf.zeros(()), None
        for layer in layers:
            old, mu = tf.nn.softplus(layer.rho_0[:, 0]), layer.mu[..., 0]
            certain = hold = self.initial / old  # (units,)
            if below is not None:
                # After a flattened convolution each of its filters is many inputs, the filters side by side.
                inputs = tf.tile(below, [int(mu.shape[-2]) // int(below.shape[0])])
                hold = tf.maximum(certain, inputs[:, None])
            total += 0.5 * self.beta * ucl.spread(tnp, tf.nn.softplus(layer.rho[:, 0]), old)
            if later:
                moved = ucl.drift(tnp, mu, layer.mu_0[..., 0], old, hold, self.initial)
                biases = (layer.bias[:, 0], layer.bias_0[:, 0])
                total += moved + ucl.drift(tnp, *biases, old, certain, self.initial)
            below = certain
        return total / self.batch


def fisher(
    predict: Callable[[Tensor], Tensor], weights: list[Any], x: Any, draws: np.random.Generator
) -> list[Tensor]:
    """Returns the mean over images of the squared gradient of log p(y|x), y drawn from the model.

    One image at a time, as the square of a batch's mean gradient is not it.
    Args: predict — images to logits; weights — variables; x — float images (n, inputs).
    Source: Kirkpatrick et al. 2017; spec 7, item 27.
    """
    uniform = tf.constant(draws.random(len(x)), tf.float32)

    @tf.function
    def total(x: Tensor, u: Tensor) -> list[Tensor]:
        sums = [tf.zeros_like(w) for w in weights]
        for i in tf.range(tf.shape(x)[0]):
            with tf.GradientTape() as tape:
                log_p = tf.nn.log_softmax(predict(x[i : i + 1]))[0]
                edges = tf.cumsum(tf.exp(log_p))
                y = tf.minimum(tf.reduce_sum(tf.cast(edges < u[i], tf.int32)), tf.shape(log_p)[0] - 1)
                chosen = log_p[y]
            # A head of another task has no part in it.
            found = tape.gradient(chosen, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            sums = [s + tf.square(g) for s, g in zip(sums, found, strict=True)]
        return sums

    return [s / len(x) for s in total(tf.constant(x, tf.float32), uniform)]


def distillation(logits: Tensor, old_logits: Tensor) -> Tensor:
    """Returns T² times the cross-entropy of the softened answers of the old network, mean over the batch."""
    soft = tf.nn.softmax(tf.stop_gradient(old_logits) / TEMPERATURE)
    return TEMPERATURE**2 * tf.reduce_mean(
        tf.nn.softmax_cross_entropy_with_logits(labels=soft, logits=logits / TEMPERATURE)
    )


def kept_answers(net: Any, h: Tensor, old: Any, x: Tensor, task: int) -> Tensor:
    """Returns the mean distillation over all heads of earlier tasks: no one knows whose an image is.

    Args: net, old — classifiers with a head per task; h — features of net for images x; task — the present.
    """
    h_old = old.body(x, training=False)
    each = [
        distillation(net.answer(h, t, training=True), old.answer(h_old, t, training=False))
        for t in range(task)
    ]
    return tf.add_n(each) / len(each)
