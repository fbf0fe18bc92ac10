"""What is measured of a trained mixture: experts used, determinant, images that change their expert."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from clrepro.io.checkpoint import RunDir
from clrepro.seeding import Seeds
from hvcl_repro.layers import Conv2DMoVE, DenseMoVE, divergence
from hvcl_repro.supervised import mixture
from hvcl_repro.supervised.benchmarks import build
from hvcl_repro.supervised.build import make
from hvcl_repro.supervised.methods import HVCL
from hvcl_repro.supervised.settings import SupervisedSettings
from hvcl_repro.supervised.train import run

SMALL = SupervisedSettings(images="digits", hidden=8, n_exp=3, epochs=1, batch=64, lr=3e-3)


def result(settings, checkpoint=None, epochs=None):
    seeds = Seeds(settings.seed)
    return run(
        replace(settings, epochs=epochs or settings.epochs), build(settings, seeds.generator("tasks"), None),
        seeds, checkpoint=checkpoint,
    )  # fmt: skip


def test_effective_number_by_hand():
    equal = np.full((5, 4), 0.25, np.float32)
    one = np.eye(4, dtype=np.float32)[np.zeros(5, int)]
    each = np.eye(4, dtype=np.float32)[np.array([0, 1, 0, 1, 0])]
    assert mixture.experts_used([equal]) == pytest.approx(4.0)
    assert mixture.experts_used([one]) == pytest.approx(1.0)
    h = -(0.6 * np.log(0.6) + 0.4 * np.log(0.4))
    assert mixture.experts_used([each, one]) == pytest.approx((np.exp(h) + 1.0) / 2)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (lambda k: DenseMoVE(5, 3, k=k, use_expert_bias=False, seed=0), (6, 4)),
        (lambda k: Conv2DMoVE(5, 3, 3, k=k, use_expert_bias=False, padding="same", seed=0), (6, 8, 8, 2)),
    ],
)
def test_gates_are_those_a_call_uses_at_evaluation(layer, x, k):
    made, images = layer(k), np.random.default_rng(0).normal(size=x).astype(np.float32)
    y = made(images, training=False).numpy()
    gates = made.gates(images).numpy()
    assert np.all((gates > 0).sum(axis=1) == k)
    alone = []
    for m in range(3):  # all the others silent
        one = np.zeros_like(made.mu)
        one[..., m] = made.mu.numpy()[..., m]
        kept = made.mu.numpy()
        made.mu.assign(one)
        alone.append(made(images, training=False).numpy())
        made.mu.assign(kept)
    np.testing.assert_allclose(sum(alone), y, atol=1e-5)
    for m in range(3):  # an expert without weight says nothing
        assert np.all(np.abs(alone[m][gates[:, m] == 0]) < 1e-6)


def test_determinant_is_that_of_the_loss_and_zero_for_equal_experts():
    layer = DenseMoVE(4, 2, diversity_bonus=1.0, seed=0)
    x = np.ones((3, 5), np.float32)
    layer(x)
    assert float(layer.determinant()) == pytest.approx(-float(layer.losses[2]), rel=1e-6)
    distance = np.sum((layer.mu.numpy()[..., 0] - layer.mu.numpy()[..., 1]) ** 2)
    spread = np.log1p(np.exp(layer.rho.numpy()))
    distance += 5 * np.sum((spread[:, 0] - spread[:, 1]) ** 2)
    k = np.exp(-divergence.auto_scale(4, 2) * distance / 10)
    assert float(layer.determinant()) == pytest.approx(1 - k**2, rel=1e-4)
    for v in (layer.mu, layer.rho):
        v.assign(tf.stack([v[..., 0]] * 2, axis=-1))
    assert float(layer.determinant()) == pytest.approx(0.0, abs=1e-6)


def test_weights_follow_the_layers_one_by_one():
    layers = make(SMALL, (8, 8), 2, 1, Seeds(1)).net.path(0)
    x = np.random.default_rng(0).integers(0, 255, (1500, 64)).astype(np.uint8)  # more than one batch
    found = mixture.gate_weights(layers, x)
    assert [w.shape for w in found] == [(1500, 3)] * 3
    hidden = layers[0](x.astype(np.float32) / 255, training=False)
    np.testing.assert_array_equal(found[1], layers[1].gates(hidden).numpy())
    # An expert that no image reaches does not count as used.
    layers[0].gate_bias.assign([50.0, 0.0, 0.0])
    assert np.all(mixture.routes(mixture.gate_weights(layers, x))[0] == 0)


def test_looking_changes_nothing(monkeypatch):
    """Not even where evaluation draws numbers, as the original's does."""
    looked = result(replace(SMALL, compat="original"))
    assert set(looked.mixture) == {"det_K", "experts_used", "gate_moved"}
    assert 0 < looked.mixture["det_K"] <= 1
    assert 1 <= looked.mixture["experts_used"] <= 3
    monkeypatch.setattr("hvcl_repro.supervised.train._look", lambda *_: None)
    blind = result(replace(SMALL, compat="original"))
    np.testing.assert_array_equal(looked.accuracy, blind.accuracy)
    np.testing.assert_array_equal(looked.sampled, blind.sampled)


def test_moved_images_are_counted_against_the_end_of_their_task(monkeypatch):
    """A gate that is swapped after the third task has moved the images of the first three."""
    real = HVCL.end_task

    def swapped(self, x, task):
        real(self, x, task)
        for layer in self.net.moves:
            bias = np.full(3, -50.0)
            bias[1 if task > 2 else 0] = 50.0
            layer.gate_bias.assign(bias)

    monkeypatch.setattr(HVCL, "end_task", swapped)
    assert result(SMALL).mixture["gate_moved"] == pytest.approx(3 / 4)


def test_one_expert_has_no_mixture():
    for method in ("vcl", "ucl", "fine-tune"):
        made = make(replace(SMALL, method=method), (8, 8), 2, 1, Seeds(1))
        assert mixture.mixtures(made.net.path(0)) == []
    assert len(mixture.mixtures(make(SMALL, (8, 8), 2, 1, Seeds(1)).net.path(0))) == 3


def test_resumed_knows_the_same(tmp_path, stopped):
    straight = result(SMALL)
    stopped(lambda: result(SMALL, RunDir(tmp_path)), task=4)
    assert result(SMALL, RunDir(tmp_path)).metrics() == straight.metrics()
    assert result(SMALL, RunDir(tmp_path)).metrics() == straight.metrics()  # nothing left to do
