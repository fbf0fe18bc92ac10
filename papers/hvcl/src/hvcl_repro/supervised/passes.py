"""A whole pass over a task's images as one compiled call, so Python costs nothing per step."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hvcl_repro.supervised.methods import Method

Tensor = Any
FLAT = tf.TensorSpec([None, None], tf.uint8)
LABELS = tf.TensorSpec([None], tf.int64)
ORDER = tf.TensorSpec([None], tf.int32)


class Passes:
    """Feeds a method, batch by batch.  Args: batch — images per step."""

    def __init__(self, method: Method, batch: int) -> None:
        self.method, self.batch = method, batch
        self._variant: Any = None
        self._compiled: Any = None

    def train(self, x: Tensor, y: Tensor, order: NDArray[np.int64], task: int) -> float:
        """Train once on the images that `order` names.  Args: x — uint8 (n, inputs); y — int64 (n,).

        Returns: the mean cross-entropy of its batches, nan if the loss was not finite.
        """
        variant = self.method.variant(task)
        if variant != self._variant:
            self._variant = variant
            self._compiled = tf.function(self._pass(task), input_signature=[FLAT, LABELS, ORDER])
        return float(self._compiled(x, y, order.astype(np.int32)))

    def _pass(self, task: int) -> Any:
        batch, observe = self.batch, self.method.observe

        def run(x: Tensor, y: Tensor, order: Tensor) -> Tensor:
            total = 0.0
            n_batches = (tf.shape(order)[0] + batch - 1) // batch
            for i in tf.range(n_batches):
                rows = order[i * batch : (i + 1) * batch]
                images = tf.cast(tf.gather(x, rows), tf.float32) / 255.0
                total += observe(images, tf.gather(y, rows), task)
            return total / tf.cast(n_batches, tf.float32)

        return run
