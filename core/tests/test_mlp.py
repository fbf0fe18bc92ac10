"""The MLP engine against autograd, finite differences and itself."""

import os
import subprocess
import sys

import numpy as np
import pytest

from clrepro.kernels import mlp

torch = pytest.importorskip("torch")
SHAPES = [(6, 4), (7, 5, 3), (12, 9, 8, 4), (20, 1, 1, 5), (16, 10, 9, 8, 3)]


def network(sizes, seed, dtype=np.float32):
    """A random network and data whose pixels are zero in about half the places."""
    rng = np.random.default_rng(seed)
    layout = mlp.Layout(sizes)
    theta = rng.normal(0, 0.6, layout.n_params).astype(dtype)
    x = (rng.random((14, sizes[0])) * (rng.random((14, sizes[0])) < 0.5)).astype(dtype)
    y = rng.integers(0, sizes[-1], 14)
    return layout, theta, x, y


def autograd(layout, theta, x, y, weight):
    """The same gradient from torch, flat in the engine's layout."""
    leaf = torch.from_numpy(theta.copy()).requires_grad_()
    h = torch.from_numpy(x)
    for layer, (at, n_in, width) in enumerate(
        zip(layout.offsets, layout.sizes, layout.sizes[1:], strict=False)
    ):
        end = at + n_in * width
        h = h @ leaf[at:end].view(n_in, width) + leaf[end : end + width]
        if layer < len(layout.sizes) - 2:
            h = h.relu()
    each = torch.nn.functional.cross_entropy(h, torch.from_numpy(y), reduction="none")
    return torch.autograd.grad((each * torch.from_numpy(weight.astype(theta.dtype))).sum(), leaf)[0].numpy()


def stored(x, y):
    rows = mlp.SparseRows(len(y), x.shape[1])
    for slot in range(len(y)):
        rows.put(slot, x[slot].astype(np.float32), int(y[slot]))
    return rows


@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_gradient_equals_autograd_in_float64(sizes, seed):
    layout, theta, x, y = network(sizes, seed, np.float64)
    weight = np.random.default_rng(seed).random(len(y))
    expected = autograd(layout, theta, x, y, weight)
    np.testing.assert_allclose(mlp.gradient(layout, theta, x, y, weight), expected, rtol=1e-12, atol=1e-13)


def test_gradient_equals_finite_differences():
    layout, theta, x, y = network((5, 4, 3), 1, np.float64)

    def loss(at):
        z = mlp.logits(layout, at, x)
        return float((np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]).mean())

    step = 1e-6 * np.eye(layout.n_params)
    numeric = np.array([(loss(theta + e) - loss(theta - e)) / 2e-6 for e in step])
    np.testing.assert_allclose(mlp.gradient(layout, theta, x, y), numeric, atol=1e-8)


def test_block_gradients_are_the_gradients_of_the_blocks():
    layout, theta, x, y = network((12, 9, 8, 4), 3, np.float64)
    blocks = mlp.block_gradients(layout, theta, x.reshape(2, 7, -1), y.reshape(2, 7))
    for u, part in enumerate((slice(0, 7), slice(7, 14))):
        np.testing.assert_allclose(blocks[u], mlp.gradient(layout, theta, x[part], y[part]), rtol=1e-12)


@pytest.mark.parametrize("sizes", SHAPES)
def test_one_fused_step_equals_autograd(sizes):
    layout, theta, x, y = network(sizes, 5)
    rows, trainer = stored(x, y), mlp.Trainer(layout)
    for slot in range(len(y)):
        moved = theta.copy()
        trainer.sgd_steps(moved, rows, np.array([slot]), 0.5, np.array([1.5], np.float32))
        step = 0.75 * autograd(layout, theta, x[slot : slot + 1], y[slot : slot + 1], np.ones(1))
        np.testing.assert_allclose(theta - moved, step, rtol=1e-5, atol=1e-6 * max(1.0, np.abs(theta).max()))


@pytest.mark.parametrize("sizes", SHAPES)
def test_one_fused_batch_step_equals_autograd(sizes):
    layout, theta, x, y = network(sizes, 6)
    weight = np.random.default_rng(6).random(len(y)).astype(np.float32)
    moved = theta.copy()
    mlp.Trainer(layout).sgd_batch(moved, stored(x, y), np.arange(len(y)), 0.1, weight)
    step = 0.1 * autograd(layout, theta, x, y, weight)
    np.testing.assert_allclose(theta - moved, step, rtol=1e-5, atol=2e-6)


def test_units_at_exactly_zero_get_no_gradient():
    """A tie a = 0 counts as inactive, forwards and backwards, like torch's ReLU."""
    layout = mlp.Layout((3, 2, 2))
    theta = np.ones(layout.n_params, np.float32)
    (w1, b1), _ = layout.views(theta)
    w1[:], b1[:] = 0, 0
    x, y = np.ones((1, 3), np.float32), np.array([1])
    moved = theta.copy()
    mlp.Trainer(layout).sgd_steps(moved, stored(x, y), np.array([0]), 1.0)
    np.testing.assert_allclose(theta - moved, autograd(layout, theta, x, y, np.ones(1)), atol=1e-7)
    assert (layout.views(moved)[0][0] == 0).all()


def test_sequence_of_steps_follows_the_numpy_reference():
    """400 single-example steps stay within 1e-5 of plain numpy ones (MER contract 6.5)."""
    layout, theta, x, y = network((12, 9, 8, 4), 7)
    rows, trainer = stored(x, y), mlp.Trainer(layout)
    indices = np.random.default_rng(7).integers(0, len(y), 400)
    plain = theta.copy()
    for pick in indices:
        plain -= np.float32(0.02) * mlp.gradient(layout, plain, x[pick : pick + 1], y[pick : pick + 1])
    trainer.sgd_steps(theta, rows, indices, 0.02)
    assert np.abs(theta - plain).max() < 1e-5


def test_repeating_a_run_gives_the_same_bits():
    layout, theta, x, y = network((12, 9, 8, 4), 8)
    indices = np.random.default_rng(8).integers(0, len(y), 300)
    results = []
    for _ in range(2):
        own = theta.copy()
        mlp.Trainer(layout).sgd_steps(own, stored(x, y), indices, 0.05)
        results.append(own.tobytes())
    assert results[0] == results[1]


BITS = """
import hashlib, sys
import numpy as np
from clrepro.kernels import batch, mlp
layout, rng = mlp.Layout((12, 19, 18, 4)), np.random.default_rng(9)
rows = mlp.SparseRows(40, 12)
for slot in range(40):
    rows.put(slot, rng.normal(size=12).astype(np.float32), int(rng.integers(4)))
theta, trainer = rng.normal(0, 0.3, layout.n_params).astype(np.float32), mlp.Trainer(layout)
for order in sys.argv[1:]:
    if order == "batch":
        trainer.sgd_batch(theta.copy(), rows, np.arange(9), 0.05, np.full(9, 1 / 9, np.float32))
    else:
        trainer.sgd_steps(theta.copy(), rows, np.arange(9), 0.05)
for block in range(30):
    trainer.sgd_steps(theta, rows, rng.integers(0, 40, 50), 0.05)
    trainer.sgd_batch(theta, rows, rng.integers(0, 40, 7), 0.05, np.full(7, 1 / 7, np.float32))
    batches, held = rng.integers(0, 40, (9, 5)), rng.integers(0, 40, (9, 6))
    batch.BatchTrainer(layout).agem_steps(theta, rows, batches, rows, held, 0.05)
print(hashlib.sha256(theta.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_bits_depend_neither_on_the_cache_nor_on_compilation_order_nor_on_the_vector_width(tmp_path):
    cold = {"NUMBA_CACHE_DIR": str(tmp_path / "a")}
    narrow = {"NUMBA_CACHE_DIR": str(tmp_path / "b"), "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    seen = set()
    for order, variables in (("steps", cold), ("steps", cold), ("batch", cold), ("batch", narrow)):
        command = [sys.executable, "-c", BITS, order]
        done = subprocess.run(
            command, env={**os.environ, **variables}, capture_output=True, text=True, check=True
        )
        seen.add(done.stdout)
    assert len(seen) == 1


def test_interpolate_is_reptile():
    start, end = np.arange(5, dtype=np.float32), np.full(5, 10, np.float32)
    mlp.interpolate(end, start, 0.25)
    np.testing.assert_allclose(end, [2.5, 3.25, 4.0, 4.75, 5.5])
    mlp.interpolate(end, start, 0.0)
    np.testing.assert_array_equal(end, start)


def test_sparse_rows_hold_what_was_put_and_restore():
    rows = mlp.SparseRows(3, 6)
    x = np.array([0, 1.5, 0, 0, 2, 0], np.float32)
    rows.put(1, x, 4)
    rows.put(2, np.ones(6, np.float32), 1)
    rows.copy(1, 2)
    np.testing.assert_array_equal(rows.dense(np.array([1, 2, 0])), [x, x, np.zeros(6)])
    other = mlp.SparseRows(3, 6)
    other.load(rows.state())
    np.testing.assert_array_equal(other.dense(np.arange(3)), rows.dense(np.arange(3)))
    assert rows.nbytes == 3 * (6 * 6 + 12)


@pytest.mark.parametrize("sizes", [(5,), (4, 0, 2)])
def test_layouts_without_layers_are_refused(sizes):
    with pytest.raises(ValueError, match="layer sizes"):
        mlp.Layout(sizes)


def test_a_parameter_vector_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="need"):
        mlp.Layout((3, 2)).views(np.zeros(9, np.float32))
