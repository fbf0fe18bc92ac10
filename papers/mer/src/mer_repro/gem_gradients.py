"""Gradients of the finished tasks' memories, which GEM compares with the present one at every step.

`AutogradPast` forms them one task at a time, as the original does.  The other two use that finished memories
never change.  `FactoredPast` never writes a gradient out: it works with the factors of the gradients (layer
inputs h and errors delta, since grad W = sum of h outer delta) and follows the first layer's outputs through
its steps.  Products of rows with rows are cheap up to FACTORED_ROWS; beyond, `gem_packed` takes over.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.kernels import mlp
from mer_repro.engine import Engine, FusedEngine, theta_to_numpy

Array = NDArray[np.float32]

# Rows up to which products of factors (rows x rows) beat gradients written out in full (tasks x parameters).
FACTORED_ROWS = 200
# Steps after which the followed first-layer outputs are computed afresh, so that rounding does not pile up.
REFRESH = 64


class AutogradPast:
    """One gradient per finished task, written out; `blocks` are the filled slots of each."""

    def __init__(self, engine: Engine, rows: Any, blocks: list[NDArray[np.int64]]) -> None:
        self._engine, self._rows, self._blocks = engine, rows, blocks

    def compare(self, theta: Any, staged: Any, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Returns G g (t,): each past gradient times the present one, at theta."""
        self._g = theta_to_numpy(self._engine.gradient(theta, staged, indices))
        self._past = np.stack(
            [theta_to_numpy(self._engine.gradient(theta, self._rows, block)) for block in self._blocks]
        )
        return self._past.astype(np.float64) @ self._g.astype(np.float64)

    def gram(self) -> NDArray[np.float64]:
        """Returns G G' (t, t), at the parameters last compared."""
        wide = self._past.astype(np.float64)
        return np.asarray(wide @ wide.T)

    def written_out(self) -> Array:
        """Returns G (t, n_params), at the parameters last compared."""
        return self._past

    def direction(self, v: NDArray[np.float64] | None) -> Array:
        """Returns g + G'v (n_params,), or g for v None."""
        return self._g if v is None else self._g + v.astype(np.float32) @ self._past

    def moved(self, rate: float, v: NDArray[np.float64] | None) -> None:
        """Told of a step theta <- theta - rate * direction(v); nothing is kept between steps."""

    def forget(self) -> None:
        """Told of a step along another direction; nothing is kept between steps."""


class FactoredPast:
    """The same three answers from packed rows; CPU, float32 with float64 for the small products."""

    def __init__(self, engine: FusedEngine, rows: mlp.SparseRows, blocks: list[NDArray[np.int64]]) -> None:
        self._layout = engine.layout
        slots = np.concatenate(blocks)
        self._x = rows.dense(slots)
        self._x_columns = np.ascontiguousarray(self._x.T)
        self._label = rows.label[slots]
        lengths = np.array([len(block) for block in blocks])
        self._starts = np.concatenate([[0], np.cumsum(lengths)])[:-1]
        self._ends = np.cumsum(lengths)
        self._weight = np.repeat(1 / lengths, lengths).astype(np.float32)[:, None]
        self._x_products = self._x @ self._x.T + 1  # + 1: the bias is an input of one
        self._first: Array | None = None  # first-layer outputs at the present parameters
        self._age = 0

    def compare(
        self, theta: Array, staged: mlp.SparseRows, indices: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Returns G g (t,): each past gradient times the present one, at theta."""
        x = staged.dense(indices)
        self._g_inputs, self._g_errors = factors(self._layout, theta, x, staged.label[indices], None)
        self._g_errors = [error / np.float32(len(indices)) for error in self._g_errors]
        if self._first is None or self._age >= REFRESH:
            weight, bias = self._layout.views(theta)[0]
            self._first, self._age = self._x @ weight + bias, 0
        self._inputs, self._errors = factors(self._layout, theta, self._x, self._label, self._first)
        active = np.flatnonzero(x.any(axis=0))
        self._met = (x[:, active] @ self._x_columns[active]).T + 1
        products = self._met * (self._errors[0] @ self._g_errors[0].T)
        for h, error, g_h, g_error in zip(
            self._inputs[1:], self._errors[1:], self._g_inputs[1:], self._g_errors[1:], strict=True
        ):
            products += (h @ g_h.T + 1) * (error @ g_error.T)
        per_row = (products.sum(axis=1, keepdims=True) * self._weight)[:, 0]
        return np.add.reduceat(per_row.astype(np.float64), self._starts)

    def gram(self) -> NDArray[np.float64]:
        """Returns G G' (t, t), at the parameters last compared."""
        scaled = [error * self._weight for error in self._errors]
        rows = self._x_products * (scaled[0] @ scaled[0].T)
        for h, error in zip(self._inputs[1:], scaled[1:], strict=True):
            rows += (h @ h.T + 1) * (error @ error.T)
        return np.add.reduceat(
            np.add.reduceat(rows.astype(np.float64), self._starts, axis=0), self._starts, axis=1
        )

    def written_out(self) -> Array:
        """Returns G (t, n_params), at the parameters last compared."""
        past = np.empty((len(self._starts), self._layout.n_params), np.float32)
        for row, start, end in zip(past, self._starts, self._ends, strict=True):
            for layer, (weight, bias) in enumerate(self._layout.views(row)):
                error = self._errors[layer][start:end] * self._weight[start:end]
                np.matmul(self._inputs[layer][start:end].T, error, out=weight)
                bias[...] = error.sum(axis=0)
        return past

    def direction(self, v: NDArray[np.float64] | None) -> Array:
        """Returns g + G'v (n_params,), or g for v None."""
        out = np.empty(self._layout.n_params, np.float32)
        for layer, (weight, bias) in enumerate(self._layout.views(out)):
            h, error = self._g_inputs[layer], self._g_errors[layer]
            np.matmul(h.T, error, out=weight)
            bias[...] = error.sum(axis=0)
            if v is not None:
                pull = self._errors[layer] * self._row_weights(v)
                weight += self._inputs[layer].T @ pull
                bias += pull.sum(axis=0)
        return out

    def _row_weights(self, v: Any) -> Array:
        lengths = self._ends - self._starts
        return np.repeat(v, lengths).astype(np.float32)[:, None] * self._weight

    def moved(self, rate: float, v: NDArray[np.float64] | None) -> None:
        """Follow the first layer through theta <- theta - rate * direction(v): cheaper than x W again."""
        assert self._first is not None
        change = self._met @ self._g_errors[0]
        if v is not None:
            change += self._x_products @ (self._errors[0] * self._row_weights(v))
        self._first -= np.float32(rate) * change
        self._age += 1

    def forget(self) -> None:
        """Told of a step along another direction: the first layer is computed afresh."""
        self._first = None


def factors(
    layout: mlp.Layout, theta: Array, x: Array, y: NDArray[np.int64], first: Array | None
) -> tuple[list[Array], list[Array]]:
    """Returns (inputs, errors) of every layer for each row: grad W_l of row i is inputs[l][i] (outer)
    errors[l][i].

    Args: first — outputs of the first layer (n, width) if they are known already.
    """
    layers = layout.views(theta)
    inputs = [x]
    out = x @ layers[0][0] + layers[0][1] if first is None else first
    for weight, bias in layers[1:]:
        inputs.append(np.maximum(out, 0))
        out = inputs[-1] @ weight + bias
    z = np.exp(out - out.max(axis=1, keepdims=True))
    delta = z / z.sum(axis=1, keepdims=True)
    delta[np.arange(len(y)), y] -= 1
    errors = [delta]
    for layer in range(len(layers) - 1, 0, -1):
        delta = (delta @ layers[layer][0].T) * (inputs[layer] > 0)
        errors.append(delta)
    return inputs, errors[::-1]
