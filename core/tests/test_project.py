"""A-GEM's projection at every size of gradient that float32 has; ordinary ones come out as before."""

import functools

import numpy as np
import pytest

from clrepro.kernels import batch, mlp
from clrepro.kernels.limits import product_limits

SCALES = [1e-25, 1e-18, 1.0, 1e20]


def pair(seed, n=200):
    """g and r with g.r < 0."""
    rng = np.random.default_rng(seed)
    g, r = rng.normal(size=(2, n))
    return (-g if g @ r > 0 else g), r


def torch_project(g, r):
    torch = pytest.importorskip("torch")
    from clrepro.adapters.agem import project

    return project(torch.from_numpy(g), torch.from_numpy(r)).numpy()


@functools.cache
def compiled():
    tf = pytest.importorskip("tensorflow")
    from clrepro.adapters.tf import project

    return tf.function(lambda g, r: project([g[:7], g[7:]], [r[:7], r[7:]]))


def tf_project(g, r):
    return np.concatenate([part.numpy() for part in compiled()(g[:], r[:])])


@pytest.mark.parametrize("project", [torch_project, tf_project])
@pytest.mark.parametrize("g_scale", SCALES)
@pytest.mark.parametrize("r_scale", SCALES)
def test_gradients_of_every_size_are_projected(project, g_scale, r_scale):
    for seed in range(3):
        g, r = pair(seed)
        want = g - (g @ r) / (r @ r) * r
        with np.errstate(under="ignore"):
            found = project((g * g_scale).astype(np.float32), (r * r_scale).astype(np.float32))
        np.testing.assert_allclose(found.astype(float) / g_scale, want, atol=3e-5)
        along = project((-g * g_scale).astype(np.float32), (r * r_scale).astype(np.float32))
        np.testing.assert_array_equal(along, (-g * g_scale).astype(np.float32))


@pytest.mark.parametrize("project", [torch_project, tf_project])
def test_ordinary_gradients_come_out_by_the_plain_formula_to_the_last_bit(project):
    for seed in range(20):
        g, r = (part.astype(np.float32) for part in pair(seed))
        found = project(g, r)
        if project is torch_project:
            torch = pytest.importorskip("torch")
            a, b = torch.from_numpy(g), torch.from_numpy(r)
            np.testing.assert_array_equal(found, (a - (torch.dot(a, b) / torch.dot(b, b)) * b).numpy())
        else:
            tf = pytest.importorskip("tensorflow")
            inner = sum(tf.reduce_sum(g[part] * r[part]) for part in (slice(7), slice(7, None)))
            square = sum(tf.reduce_sum(r[part] * r[part]) for part in (slice(7), slice(7, None)))
            np.testing.assert_array_equal(found, g - (tf.minimum(inner, 0) / square).numpy() * r)


@pytest.mark.parametrize("project", [torch_project, tf_project])
def test_no_length_and_no_number_change_nothing(project):
    g = np.array([1, -2, 3, 4, 5, 6, 7, 8], np.float32)
    np.testing.assert_array_equal(project(g, np.zeros(8, np.float32)), g)
    np.testing.assert_array_equal(project(np.zeros(8, np.float32), g), np.zeros(8))
    assert np.isnan(project(np.full(8, np.nan, np.float32), -g)).all()


def network(weights):
    """One layer without hidden units: the gradient is the error times the input, known by hand."""
    layout = mlp.Layout((weights.shape[0], weights.shape[1]))
    theta = batch.aligned(layout.n_params)
    theta[: weights.size] = weights.ravel()
    theta[weights.size :] = 0
    return layout, theta


def rows(x, y):
    found = mlp.SparseRows(len(y), x.shape[1])
    found.put_all(x.astype(np.float32), np.array(y))
    return found


def gradient(weights, x, y):
    """float64 (inputs + 1, classes): of the mean cross-entropy, for weights and bias."""
    z = x @ weights
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    return np.vstack([x, np.ones(len(x))] if x.ndim == 1 else [x.T, np.ones(len(x))]) @ p / len(y)


@pytest.mark.parametrize("scale", [1.0, 1e20, 3e17])
def test_the_compiled_step_projects_where_inputs_are_large(scale):
    rng = np.random.default_rng(1)
    weights = np.zeros((5, 3))
    x, y = rng.normal(size=(4, 5)) * scale, np.array([0, 1, 2, 0])
    layout, theta = network(weights)
    (out,) = batch.BatchTrainer(layout).agem_steps(
        theta, rows(x, y), np.arange(4)[None], rows(x, (y + 1) % 3), np.arange(4)[None], 1.0
    )
    g, r = gradient(weights, x, y), gradient(weights, x, (y + 1) % 3)
    np.testing.assert_allclose(out[1:], [(g * r).sum(), (r * r).sum(), (g * g).sum()], rtol=1e-4)
    assert out[1] < 0
    want = -(g - (g * r).sum() / (r * r).sum() * r)
    np.testing.assert_allclose(theta[:15].reshape(5, 3) / scale, want[:5] / scale, atol=1e-4)


@pytest.mark.parametrize("logit", [0.0, 58.0, 80.0])
def test_the_compiled_step_projects_where_errors_are_small(logit):
    """Examples learnt so well that errors are e**-logit, down to 1e-35; float32 has no squares of them."""
    x = np.array([[1.0, 0.5], [1.0, -0.25]])
    weights = np.array([[logit, 0.0, 0.0], [0.0, 0.0, 0.0]])
    layout, theta = network(weights)
    before = theta.copy()
    # Same label, so g.r > 0; with inputs turned round it is below 0 but for the bias.
    memory = np.array([[1.0, -9.0], [1.0, -9.5]])
    (out,) = batch.BatchTrainer(layout).agem_steps(
        theta, rows(x, [0, 0]), np.array([[0, 0]]), rows(memory, [0, 0]), np.array([[0, 1]]), 1.0
    )
    g, r = gradient(weights, x[[0, 0]], [0, 0]), gradient(weights, memory, [0, 0])
    # In float32 the error of the right class is exactly 0 there; without it:
    if logit:
        g[:, 0] = r[:, 0] = 0
    np.testing.assert_allclose(out[1:], [(g * r).sum(), (r * r).sum(), (g * g).sum()], rtol=1e-4)
    assert out[1] < 0
    want = -(g - (g * r).sum() / (r * r).sum() * r)[1]  # the weights that are 0 show steps of any size
    moved = (theta - before)[3:6].astype(float)
    np.testing.assert_allclose(
        moved[1:] / np.abs(want[1:]).max(), want[1:] / np.abs(want[1:]).max(), rtol=1e-4
    )


def test_limits_leave_room_on_both_sides():
    low, high = product_limits(1e-38, 1e38)
    assert 1e-38 * 1e10 < low < 1e-20
    assert 1e20 < high < 1e38 / 1e10
