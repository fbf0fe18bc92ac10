"""UCL's penalty, supervised: against numpy by hand, at its anchor, its gradient; the shared formula."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import torch

from clrepro.seeding import Seeds
from hvcl_repro import ucl
from hvcl_repro.layers import Conv2DMoVE, DenseMoVE, divergence
from hvcl_repro.supervised.build import make
from hvcl_repro.supervised.passes import Passes
from hvcl_repro.supervised.settings import SupervisedSettings

FOLDER = Path(__file__).resolve().parents[1]
RHO = -3.0
DENSE = SupervisedSettings(method="ucl", hidden=4, rho_init=RHO, ucl_beta=0.3, batch=7)
CONV = replace(DENSE, benchmark="split-cifar10", images="textures10")


def method(settings, shape, scramble=True):
    """A method whose weights and anchors are all different, as after some task."""
    out = make(settings, shape, 3, 1, Seeds(1))
    rng = np.random.default_rng(0)
    if scramble:
        for layer in out.net.moves:
            for v in (layer.mu, layer.mu_0, layer.bias, layer.bias_0):
                v.assign(rng.normal(size=v.shape) * 0.1)
            for v in (layer.rho, layer.rho_0):
                v.assign(rng.normal(-3, 1, v.shape))
    return out


def softplus(rho):
    return np.log1p(np.exp(np.asarray(rho, float)))


def by_hand(net, s, later):
    """Equation 8, weight by weight, with loops and float64."""
    first, total, below = softplus(s.rho_init), 0.0, None
    for layer in net.moves:
        mu, old = (v.numpy()[..., 0].astype(float) for v in (layer.mu, layer.mu_0))
        bias, bias_old = (v.numpy()[:, 0].astype(float) for v in (layer.bias, layer.bias_0))
        now, then = (softplus(v.numpy()[:, 0]) for v in (layer.rho, layer.rho_0))
        assert now.shape == (mu.shape[-1],)
        for j in range(len(now)):
            r = now[j] ** 2 / then[j] ** 2
            total += s.ucl_beta / 2 * (r - np.log(r) + now[j] ** 2 - np.log(now[j] ** 2))
        if later:
            for place in np.ndindex(mu.shape):
                i, j = place[-2:]
                hold = first / then[j]
                if below is not None:
                    hold = max(hold, first / below[i % len(below)])
                moved = mu[place] - old[place]
                total += (hold * moved) ** 2 / 2
                total += first**2 * (old[place] / then[j]) ** 2 * abs(moved)
            for j in range(len(now)):
                moved = bias[j] - bias_old[j]
                total += (first / then[j] * moved) ** 2 / 2
                total += first**2 * (bias_old[j] / then[j]) ** 2 * abs(moved)
        below = then
    return total / s.batch


@pytest.mark.parametrize(("settings", "shape"), [(DENSE, (3, 2)), (CONV, (8, 8, 3))])
@pytest.mark.parametrize("seen", [0, 2])
def test_the_penalty_is_equation_8(settings, shape, seen):
    made = method(settings, shape)
    found = float(made.penalty(seen))
    assert found == pytest.approx(by_hand(made.net, settings, seen > 0), rel=2e-5)


def test_at_the_anchor_only_the_deviations_terms_are_left():
    made = method(DENSE, (3, 2))
    for layer in made.net.moves:
        layer.consolidate()
    sigma = np.concatenate([softplus(layer.rho.numpy()[:, 0]) for layer in made.net.moves])
    expected = DENSE.ucl_beta / 2 * np.sum(1 + sigma**2 - np.log(sigma**2)) / DENSE.batch
    assert float(made.penalty(1)) == pytest.approx(expected, rel=1e-5)


def test_gradients_pull_back_harder_where_nodes_are_certain_and_let_deviations_rise():
    made = method(DENSE, (3, 2))
    first, second = made.net.moves[:2]
    for layer in made.net.moves:
        layer.rho.assign(tf.fill(layer.rho.shape, RHO))
        layer.mu.assign(tf.zeros_like(layer.mu))  # so that the absolute term has no weight
    first.rho.assign([[-6.0], [RHO], [RHO], [RHO]])  # one certain node below
    for layer in made.net.moves:
        layer.consolidate()
    second.mu.assign_add(0.1 * tf.ones_like(second.mu))
    with tf.GradientTape() as tape:
        loss = made.penalty(1)
    mu, rho = tape.gradient(loss, [second.mu, second.rho])
    held = mu.numpy()[..., 0]
    certain = (softplus(RHO) / softplus(-6.0)) ** 2
    np.testing.assert_allclose(held[1:], 0.1 / DENSE.batch, rtol=1e-4)  # hold 1: pulled back, towards 0
    np.testing.assert_allclose(held[0], certain * 0.1 / DENSE.batch, rtol=1e-4)  # Λ: the larger of the two
    assert np.all(rho.numpy() < 0)  # at s = s' what is left, s² - log s², draws the deviation up

    second.mu_0.assign(2.0 * tf.ones_like(second.mu))  # an important weight, above where it is now
    with tf.GradientTape() as tape:
        loss = made.penalty(1)
    more = tape.gradient(loss, second.mu).numpy()[1:, :, 0]
    l1 = softplus(RHO) ** 2 * (2.0 / softplus(RHO)) ** 2
    np.testing.assert_allclose(more, (-1.9 - l1) / DENSE.batch, rtol=1e-4)


@pytest.mark.parametrize("library", [torch, tf.experimental.numpy])
def test_every_library_computes_the_same(library):
    rng = np.random.default_rng(1)
    mu, old, hold = (rng.normal(size=(4, 3)) for _ in range(3))
    sigma, then = rng.random((2, 3)) + 0.1
    make = torch.tensor if library is torch else tf.constant
    for formula, arrays in ((ucl.spread, (sigma, then)), (ucl.drift, (mu, old, then, hold))):
        rest = (0.2,) if formula is ucl.drift else ()
        expected = formula(np, *arrays, *rest)
        assert float(formula(library, *map(make, arrays), *rest)) == pytest.approx(expected, rel=1e-12)


def test_a_node_has_one_deviation_and_one_expert():
    made = make(replace(CONV, n_exp=4, rho_sharing="full"), (8, 8, 3), 3, 1, Seeds(1))
    for layer in made.net.moves:
        assert layer.n_experts == 1
        assert tuple(layer.rho.shape) == (int(layer.mu.shape[-2]), 1)


def test_divergences_count_every_weight_of_a_node():
    layer = Conv2DMoVE(3, 2, 2, rho_sharing="node", seed=0)
    layer.build((None, 5, 5, 4))
    mu, mu_0 = (v.numpy().astype(float) for v in (layer.mu, layer.mu_0))
    wide = [np.broadcast_to(softplus(v.numpy()), mu.shape) for v in (layer.rho, layer.rho_0)]
    s, s_0 = wide
    kl = np.log(s_0 / s) + (s**2 + (mu - mu_0) ** 2) / (2 * s_0**2) - 0.5
    found = divergence.gaussian_kl(
        layer.mu, tf.nn.softplus(layer.rho), layer.mu_0, tf.nn.softplus(layer.rho_0)
    )
    assert float(found) == pytest.approx(kl.sum(), rel=1e-4)
    first = np.moveaxis(mu, -1, 0), np.moveaxis(s, -1, 0)
    expected = sum(np.sum((part[0] - part[1]) ** 2) for part in first)
    spread = divergence.experts_first(tf.nn.softplus(layer.rho))
    w = divergence.wasserstein(layer.experts(), spread)
    assert float(w[0, 1]) == pytest.approx(expected, rel=1e-4)


def test_node_and_unit_are_one_for_dense_layers():
    outputs = []
    for sharing in ("unit", "node"):
        layer = DenseMoVE(3, 2, rho_sharing=sharing, seed=0)
        outputs.append(layer(np.ones((2, 4), np.float32), training=True).numpy())
    np.testing.assert_array_equal(*outputs)


def test_the_training_step_follows_the_penalty_and_no_kl():
    """With a weight that drowns the data, every deviation below its anchor rises in Adam's first step."""
    made = method(replace(DENSE, batch=20, ucl_beta=1e4), (3, 2))
    made.begin_task(1, 20)
    assert all(float(layer.kl_weights) == 0.0 for layer in made.net.moves)
    before = [layer.rho.numpy() for layer in made.net.moves]
    x = tf.constant(np.random.default_rng(0).integers(0, 255, (20, 6)), tf.uint8)
    Passes(made, 20).train(x, tf.constant(np.arange(20) % 3, tf.int64), np.arange(20), 1)
    for old, layer in zip(before, made.net.moves, strict=True):
        below = old < layer.rho_0.numpy()
        np.testing.assert_allclose((layer.rho.numpy() - old)[below], DENSE.lr, rtol=1e-3)


def test_a_negative_weight_ends_in_one_line():
    done = subprocess.run(
        [sys.executable, "HVCL_supervised_main.py", "--method", "ucl", "--ucl_beta", "-1"], cwd=FOLDER,
        capture_output=True, text=True, timeout=120, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "--ucl_beta" in done.stderr
    assert "Traceback" not in done.stderr
