"""What a trained method is worth: accuracies, its generator's bound and samples, who answers for an image."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from clrepro.metrics.divergence import DIVERGED, check_size
from hvcl_repro.supervised import mixture
from hvcl_repro.supervised.methods import Method
from hvcl_repro.supervised.passes import FLAT, LABELS

Tensor = Any
EVAL_BATCH = 1000
MC_SAMPLES = 10


class Measure:
    """Looks at a method; what only looks moves no random generator."""

    def __init__(self, method: Method) -> None:
        self.method, self.net, replay = method, method.net, method.trainer.replay
        self.generator: Any = replay.generator if replay is not None else None
        self._right: dict[int, Any] = {}  # by head
        self._bound = tf.function(self._sum_elbo, input_signature=[FLAT])

    def accuracy(self, x: Any, y: Any, task: int, *, samples: int = 0) -> float:
        """Returns the share of right answers: mean weights and most probable experts, or, with `samples`,
        that many drawn networks averaged in probability.

        Raises: FloatingPointError if the network has diverged.
        """
        head = self.net.head(task)
        if head not in self._right:
            signature = [FLAT, LABELS, tf.TensorSpec([], tf.int32)]
            self._right[head] = tf.function(self._count_right(task), input_signature=signature)
        right, largest = self._right[head](x, y, samples)
        check_size(float(largest), "its outputs", "lower --lr")
        return float(right) / len(y)

    def _count_right(self, task: int) -> Any:
        method, net = self.method, self.net

        def count(x: Tensor, y: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
            right, largest = tf.constant(0, tf.int64), tf.constant(0.0)
            for start in tf.range(0, tf.shape(x)[0], EVAL_BATCH):
                images = tf.cast(x[start : start + EVAL_BATCH], tf.float32) / 255.0
                logits = method.predict(images, task)
                size = tf.abs(logits)  # a maximum does not see what is no number
                largest = tf.maximum(largest, tf.reduce_max(tf.where(size < DIVERGED, size, np.inf)))
                answer = tf.nn.softmax(logits)
                if samples > 0:
                    answer = tf.zeros_like(answer)
                    for _ in tf.range(samples):
                        answer += tf.nn.softmax(net(images, task, training=True))
                good = tf.argmax(answer, axis=-1) == y[start : start + EVAL_BATCH]
                right += tf.reduce_sum(tf.cast(good, tf.int64))
            return right, largest

        return count

    def answer(self, x: NDArray[np.uint8], task: int) -> NDArray[np.float32]:
        """Returns (n, classes): the probabilities that `accuracy` takes its answers from."""
        with self._undisturbed():
            starts = range(0, len(x), EVAL_BATCH)
            batches = (tf.cast(x[i : i + EVAL_BATCH], tf.float32) / 255.0 for i in starts)
            return np.concatenate([tf.nn.softmax(self.method.predict(b, task)).numpy() for b in batches])

    def samples(self, z: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Returns the generator's images (n, inputs) of latent variables (n, latent).

        Raises: ValueError without a generator.
        """
        if self.generator is None:
            raise ValueError("a method without a generator has no samples")
        with self._undisturbed():
            pixels: NDArray[np.float32] = self.generator.decode(tf.constant(z)).numpy()
        return np.round(255 * pixels).astype(np.uint8)

    def gate_weights(self, x: NDArray[np.uint8], task: int) -> list[NDArray[np.float32]]:
        """Returns `mixture.gate_weights`: who answers for these images of a task."""
        with self._undisturbed():
            return mixture.gate_weights(self.net.path(task), x)

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        # Layers in the original's way draw at evaluation too; what is only looked at must not show later.
        variables = self.method.trainer.rngs()
        before = [tf.identity(v) for v in variables]
        yield
        for variable, state in zip(variables, before, strict=True):
            variable.assign(state)

    def elbo(self, x: Any) -> float:
        """Returns the generator's mean evidence bound in nats per image; nan without a generator."""
        return float(self._bound(x)) / len(x) if self.generator is not None else float("nan")

    def _sum_elbo(self, x: Tensor) -> Tensor:
        total = tf.constant(0.0)
        for start in tf.range(0, tf.shape(x)[0], EVAL_BATCH):
            images = tf.cast(x[start : start + EVAL_BATCH], tf.float32) / 255.0
            total += tf.reduce_sum(self.generator.elbo(images, training=False))
        return total
