"""GEM's past gradients at every size that float32 has: what it does not hold is formed in float64."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clrepro.kernels.limits import product_limits

Array = NDArray[np.float32]
Wide = NDArray[np.float64]
LOW, HIGH = product_limits(float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max))


class Past(Protocol):
    """Gradients G (t, n_params) of the finished tasks' memories beside the present one g (n_params,)."""

    def compare(self, theta: Any, staged: Any, indices: NDArray[np.int64]) -> Wide:
        """Returns G g (t,) at theta; g is the mean over the staged examples `indices`."""

    def gram(self) -> Wide:
        """Returns G G' (t, t), at the parameters last compared."""

    def written_out(self) -> Array:
        """Returns G (t, n_params), at the parameters last compared."""

    def direction(self, v: Wide | None) -> Array:
        """Returns g + G'v (n_params,), or g for v None."""

    def moved(self, rate: float, v: Wide | None) -> None:
        """Told of a step theta <- theta - rate * direction(v)."""

    def forget(self) -> None:
        """Told of a step along another direction."""


class GuardedPast:
    """`past` itself wherever its products hold: lengths from 1e-13 to 2e13; else the same in float64."""

    def __init__(self, past: Past) -> None:
        self.past = past
        self._wide: Wide | None = None  # G, once its products had to be formed in float64

    def compare(self, theta: Any, staged: Any, indices: NDArray[np.int64]) -> Wide:
        """As `Past.compare`."""
        self._wide = None
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is done again
            dots = self.past.compare(theta, staged, indices)
        if not held(np.abs(dots)):
            wide, g = self._in_float64(), self.past.direction(None).astype(np.float64)
            # A product of about 0 is a true one where all lengths are held, or a gradient is exactly 0.
            squares = np.append((wide * wide).sum(axis=1), g @ g)
            if not held(squares[squares != 0]):
                self._wide = wide
                return np.asarray(wide @ g)
        return dots

    def gram(self) -> Wide:
        """As `Past.gram`."""
        if self._wide is None:
            with np.errstate(over="ignore", invalid="ignore"):
                gram = self.past.gram()
            if held(np.diagonal(gram)):
                return gram
            wide = self._in_float64()
            squares = (wide * wide).sum(axis=1)
            if held(squares[squares != 0]):
                return gram
            self._wide = wide
        return np.asarray(self._wide @ self._wide.T)

    def direction(self, v: Wide | None) -> Array:
        """As `Past.direction`."""
        if v is None or self._wide is None:
            return self.past.direction(v)
        return (self.past.direction(None) + v @ self._wide).astype(np.float32)

    def moved(self, rate: float, v: Wide | None) -> None:
        """As `Past.moved`."""
        if v is None or self._wide is None:
            self.past.moved(rate, v)
        else:
            self.past.forget()

    def _in_float64(self) -> Wide:
        return self.past.written_out().astype(np.float64)


def held(squares: Wide) -> bool:
    """Whether sums of float32 products are what they seem to be."""
    return bool(((squares >= LOW) & (squares <= HIGH)).all())  # false for nan
