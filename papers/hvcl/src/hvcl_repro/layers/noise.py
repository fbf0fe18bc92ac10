"""The random numbers of the layers: a counted generator, so that a run can be stopped and continued."""

from typing import Any

import tensorflow as tf

Tensor = Any
NOISES = ("flipout", "local", "none")


class Noise:
    """Draws of one layer, from one seed.  `generator.state` is what a checkpoint has to keep.

    Args: seed — 0 or larger.
    """

    def __init__(self, seed: int) -> None:
        self.generator = tf.random.Generator.from_seed(seed, alg="philox")

    def normal(self, shape: Any, dtype: Any) -> Tensor:
        """Returns standard normal numbers."""
        # Drawn in single precision or more: half precision has too few distinct values.
        wide = tf.float64 if dtype == tf.float64 else tf.float32
        return tf.cast(self.generator.normal(shape, dtype=wide), dtype)

    def signs(self, shape: Any, dtype: Any) -> Tensor:
        """Returns -1 and 1 with equal probability."""
        bits = self.generator.uniform(shape, 0, 2, dtype=tf.int32)
        return tf.cast(2 * bits - 1, dtype)

    def gumbel(self, shape: Any, dtype: Any) -> Tensor:
        """Returns standard Gumbel numbers, -log(-log u)."""
        wide = tf.float64 if dtype == tf.float64 else tf.float32
        tiny = 1e-20 if wide == tf.float32 else 1e-300
        u = self.generator.uniform(shape, tiny, 1.0, dtype=wide)
        return -tf.math.log(-tf.math.log(u))
