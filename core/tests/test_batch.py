"""The blocked A-GEM kernels against gradients that are really built."""

import numpy as np
import pytest

from clrepro.kernels import batch, mlp

SHAPES = [  # layers, batch, reference batch: every kind of remainder of 16 lanes and of 4 rows
    ((7, 3), 1, 1),
    ((5, 1, 2), 3, 6),
    ((40, 17, 10), 10, 10),
    ((33, 16, 5, 20), 4, 0),
    ((20, 31, 48, 3), 5, 13),
]


def problem(sizes, capacity=30, seed=0, share=0.6):
    rng = np.random.default_rng(seed)
    layout = mlp.Layout(sizes)
    theta = rng.normal(0, 0.5, layout.n_params).astype(np.float32)
    made = []
    for _ in range(2):
        rows = mlp.SparseRows(capacity, sizes[0])
        x = rng.random((capacity, sizes[0])) * (rng.random((capacity, sizes[0])) < share)
        rows.put_all(x.astype(np.float32), rng.integers(0, sizes[-1], capacity))
        made.append(rows)
    return layout, theta, *made, rng


def expected(layout, theta, rows, indices, memory, slots, rate):
    """The step in float64 with both gradients in full."""
    at = theta.astype(np.float64)

    def of(held, which):
        x, y = held.dense(which).astype(np.float64), held.label[which]
        z = mlp.logits(layout, at, x)
        z -= z.max(axis=1, keepdims=True)
        loss = np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y])
        return loss, mlp.gradient(layout, at, x, y)

    loss, g = of(rows, indices)
    if not len(slots):
        return at - rate * g, [loss, 0, 0, 0]
    _, r = of(memory, slots)
    gr, rr, gg = g @ r, r @ r, g @ g
    return at - rate * (g - min(gr, 0) / rr * r), [loss, gr, rr, gg]


@pytest.mark.parametrize(("sizes", "n", "m"), SHAPES)
def test_steps_equal_gradients_built_in_full(sizes, n, m):
    layout, theta, rows, memory, rng = problem(sizes)
    trainer, projected = batch.BatchTrainer(layout), 0
    for _ in range(25):
        indices, slots = rng.integers(0, 30, (1, n)), rng.integers(0, 30, (1, m))
        new, told = expected(layout, theta, rows, indices[0], memory, slots[0], 0.1)
        (out,) = trainer.agem_steps(theta, rows, indices, memory, slots, 0.1)
        np.testing.assert_allclose(out, told, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(theta, new, atol=2e-6)
        projected += out[1] < 0
    assert m == 0 or projected


def test_many_steps_in_a_call_are_the_steps_one_by_one():
    layout, theta, rows, memory, rng = problem((40, 17, 10))
    indices, slots = rng.integers(0, 30, (20, 10)), rng.integers(0, 30, (20, 7))
    apart, told = theta.copy(), []
    trainer = batch.BatchTrainer(layout)
    trainer.agem_steps(
        theta.copy(), rows, indices, memory, np.tile(slots, 3), 0.1
    )  # leaves a work space too large
    for b in range(20):
        told.append(trainer.agem_steps(apart, rows, indices[b : b + 1], memory, slots[b : b + 1], 0.1)[0])
    together = batch.BatchTrainer(layout).agem_steps(theta, rows, indices, memory, slots, 0.1)
    np.testing.assert_array_equal(together, told)
    np.testing.assert_array_equal(theta, apart)


def test_black_inputs_and_rows_without_any_active_unit_are_no_special_case():
    layout, theta, rows, memory, _ = problem((40, 17, 10))
    rows.put(0, np.zeros(40, np.float32), 3)
    theta[layout.offsets[0] :][: 41 * 17] = -1.0  # every hidden unit is off
    indices, slots = np.array([[0, 0, 1]]), np.array([[2, 3]])
    new, told = expected(layout, theta, rows, indices[0], memory, slots[0], 0.5)
    (out,) = batch.BatchTrainer(layout).agem_steps(theta, rows, indices, memory, slots, 0.5)
    np.testing.assert_allclose(out, told, rtol=1e-5)
    np.testing.assert_allclose(theta, new, atol=1e-6)


@pytest.mark.parametrize("n", [0, 1, 4, 11])
def test_logits_equal_a_matrix_product(n):
    layout, theta, rows, _, rng = problem((40, 17, 10))
    x = rows.dense(rng.integers(0, 30, n))
    found = batch.BatchTrainer(layout).logits(theta, x)
    assert found.shape == (n, 10)
    np.testing.assert_allclose(found, mlp.logits(layout, theta, x), rtol=1e-5, atol=1e-5)


def test_as_many_reference_batches_as_batches_are_needed():
    layout, theta, rows, memory, _ = problem((7, 3))
    with pytest.raises(ValueError, match="2 batches and 1 reference"):
        batch.BatchTrainer(layout).agem_steps(
            theta, rows, np.zeros((2, 3), int), memory, np.zeros((1, 3), int), 0.1
        )


def test_aligned_starts_on_a_cache_line():
    for shape in ((1,), (3, 5), (200, 17)):
        made = batch.aligned(*shape)
        assert made.ctypes.data % 64 == 0
        assert made.shape == shape
        assert made.flags.c_contiguous


def reference_sgd(layout, theta, x, y, indices, rate, momentum, keep, classes):
    """Momentum SGD in float64 on a dense network with the given dropout factors."""
    low, high = classes
    layers = [(w.astype(float).copy(), b.astype(float).copy()) for w, b in layout.views(theta)]
    speed = [(np.zeros_like(w), np.zeros_like(b)) for w, b in layers]
    losses = []
    for number, pick in enumerate(indices):
        h, n = [x[pick] / 255], len(pick)
        for k, (w, b) in enumerate(layers[:-1]):
            h.append(np.maximum(h[-1] @ w + b, 0) * keep[number, k, :n, : w.shape[1]])
        z = (h[-1] @ layers[-1][0] + layers[-1][1])[:, low:high]
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        here = y[pick] - low
        losses.append(-np.mean(np.log(p[np.arange(n), here])))
        delta = np.zeros((n, layers[-1][0].shape[1]))
        delta[:, low:high] = p
        delta[np.arange(n), here + low] -= 1
        delta /= n
        for k in range(len(layers) - 1, -1, -1):
            gradient = h[k].T @ delta, delta.sum(axis=0)
            if k:
                delta = (delta @ layers[k][0].T) * (h[k] > 0) * keep[number, k - 1, :n, : h[k].shape[1]]
            speed[k] = tuple(momentum * v + g for v, g in zip(speed[k], gradient, strict=True))
        layers = [(w - rate * v, b - rate * u) for (w, b), (v, u) in zip(layers, speed, strict=True)]
    return np.concatenate([part.ravel() for layer in layers for part in layer]), losses


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize(
    ("sizes", "n", "classes"), [((40, 17, 10), 10, (0, 10)), ((33, 16, 5, 20), 7, (5, 9))]
)
def test_sgd_with_momentum_dropout_and_masked_classes(momentum, dropout, sizes, n, classes):
    layout, theta, _, _, rng = problem(sizes)
    x = rng.integers(0, 256, (30, sizes[0])).astype(np.uint8) * (rng.random((30, sizes[0])) < 0.6)
    y = rng.integers(*classes, 30)
    trainer = batch.BatchTrainer(layout)
    indices = rng.integers(0, 30, (30, n))
    keep = (rng.random(trainer.keep_shape(30, n)) >= dropout).astype(np.float32) / np.float32(1 - dropout)
    want, losses = reference_sgd(layout, theta, x, y, indices, 0.1, momentum, keep, classes)
    velocity = np.zeros_like(theta) if momentum else None
    told = [
        trainer.sgd_steps(
            theta,
            velocity,
            x,
            y,
            indices[a:b],
            0.1,
            momentum,
            keep=keep[a:b] if dropout else None,
            classes=classes,
        )
        for a, b in ((0, 11), (11, 30))
    ]
    np.testing.assert_allclose(np.concatenate(told), losses, rtol=1e-4)
    np.testing.assert_allclose(theta, want, atol=2e-5)


def test_momentum_needs_a_velocity_and_keep_its_shape():
    layout, theta, _, _, _ = problem((7, 5, 3))
    x, y = np.zeros((4, 7), np.float32), np.zeros(4, int)
    trainer = batch.BatchTrainer(layout)
    with pytest.raises(ValueError, match="needs a velocity"):
        trainer.sgd_steps(theta, None, x, y, np.zeros((2, 3), int), 0.1, 0.5)
    with pytest.raises(ValueError, match="must be"):
        trainer.sgd_steps(
            theta, None, x, y, np.zeros((2, 3), int), 0.1, keep=np.ones((2, 1, 3, 5), np.float32)
        )
