"""Cross-entropy over the outputs of each example's own task, and what gradients are made of."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def own_logits(logits: Any, y: Any, classes_per_task: int) -> Any:
    """Returns (n, classes_per_task) of logits (n, outputs): the outputs of the task that y (n,) lies in.

    The outputs of foreign tasks take no part and get no gradient.
    """
    if logits.shape[-1] == classes_per_task:  # one head for all tasks
        return logits
    by_task = tf.reshape(logits, (tf.shape(logits)[0], -1, classes_per_task))
    return tf.gather(by_task, y // classes_per_task, batch_dims=1)


def mean_loss(logits: Any, y: Any, classes_per_task: int) -> Any:
    """Returns the mean cross-entropy of labels y int64 (n,), numbered over all tasks."""
    own = own_logits(logits, y, classes_per_task)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y % classes_per_task, own))


def loss_and_gradients(loss: Callable[[], Any], weights: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Returns a loss and its gradient with respect to every weight, zeros where it does not depend on one."""
    with tf.GradientTape() as tape:
        value = loss()
    zero = tf.UnconnectedGradients.ZERO
    return value, [tf.convert_to_tensor(g) for g in tape.gradient(value, weights, unconnected_gradients=zero)]
