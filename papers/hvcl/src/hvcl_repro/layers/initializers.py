"""Initialisers of stacked experts: every slice [..., m] is drawn as if it were a kernel of its own.

Differs from the original: its limits come from the fans of the whole stack (about seven times too small for
28 → 64 with four experts), and it has no Xavier variants; `OriginalExpertInitializer` keeps its law.
"""

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

MODES = ("fan_in", "fan_out")


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Returns (fan_in, fan_out) of one expert's slice of a kernel (..., in, out, n).

    Raises: ValueError below rank 3.
    """
    if len(shape) < 3:
        raise ValueError(f"shape {tuple(shape)}: (..., in, out, experts), rank 3 or more")
    receptive = math.prod(shape[:-3])
    return receptive * shape[-3], receptive * shape[-2]


class _ExpertInitializer(tf_keras.initializers.Initializer):
    """Draws expert kernels (..., in, out, n); subclasses say how widely.

    Args: numexp — experts, None: whatever the shape says; seed — of the draw, None: from Python's generator.
    """

    def __init__(self, numexp: int | None = None, seed: int | None = None) -> None:
        self.numexp, self.seed = numexp, seed

    def scale(self, shape: Sequence[int]) -> tuple[float, bool]:
        """Returns (limit or standard deviation, whether it is the limit of a uniform law)."""
        raise NotImplementedError

    def __call__(self, shape: Any, dtype: Any = None, **_: Any) -> Any:
        """Returns the kernel.  Raises: ValueError if its last axis does not have `numexp` experts."""
        shape = tuple(int(size) for size in shape)
        if self.numexp is not None and shape[-1:] != (self.numexp,):
            raise ValueError(f"shape {shape}: the last axis holds {self.numexp} experts")
        width, uniform = self.scale(shape)
        seed = random.getrandbits(31) if self.seed is None else self.seed
        rng = np.random.default_rng(seed)
        values = rng.uniform(-width, width, shape) if uniform else rng.normal(0.0, width, shape)
        return tf.constant(values, dtype or tf.float32)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"numexp": self.numexp, "seed": self.seed}


@tf_keras.saving.register_keras_serializable(package="hvcl")
class HeUniformExpertInitializer(_ExpertInitializer):
    """Uniform within ± sqrt(6 / fan_in)."""

    def scale(self, shape: Sequence[int]) -> tuple[float, bool]:
        """Returns the limit."""
        return math.sqrt(6 / fans(shape)[0]), True


@tf_keras.saving.register_keras_serializable(package="hvcl")
class HeNormalExpertInitializer(_ExpertInitializer):
    """Normal with standard deviation sqrt(2 / fan).

    Args: mode — "fan_in", "fan_out", or anything else for their mean, as in the original.
    """

    def __init__(self, numexp: int | None = None, mode: str = "fan_in", seed: int | None = None) -> None:
        super().__init__(numexp, seed)
        self.mode = mode

    def scale(self, shape: Sequence[int]) -> tuple[float, bool]:
        """Returns the standard deviation."""
        both = fans(shape)
        fan = both[MODES.index(self.mode)] if self.mode in MODES else sum(both) / 2
        return math.sqrt(2 / fan), False

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "mode": self.mode}


@tf_keras.saving.register_keras_serializable(package="hvcl")
class XavierUniformExpertInitializer(_ExpertInitializer):
    """Uniform within ± sqrt(6 / (fan_in + fan_out))."""

    def scale(self, shape: Sequence[int]) -> tuple[float, bool]:
        """Returns the limit."""
        return math.sqrt(6 / sum(fans(shape))), True


@tf_keras.saving.register_keras_serializable(package="hvcl")
class XavierNormalExpertInitializer(_ExpertInitializer):
    """Normal with standard deviation sqrt(2 / (fan_in + fan_out))."""

    def scale(self, shape: Sequence[int]) -> tuple[float, bool]:
        """Returns the standard deviation."""
        return math.sqrt(2 / sum(fans(shape))), False


@tf_keras.saving.register_keras_serializable(package="hvcl")
class OriginalExpertInitializer(_ExpertInitializer):
    """Uniform within ± sqrt(2n / (d · units)): the law that the original's fans of the whole stack give."""

    def scale(self, shape: Sequence[int]) -> tuple[float, bool]:
        """Returns the limit."""
        return math.sqrt(2 * shape[-1] / (math.prod(shape[:-1]))), True
