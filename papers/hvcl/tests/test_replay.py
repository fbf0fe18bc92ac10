"""Generative replay by hand: one draw, new and old images' weights, the KL over t·n, nothing for weight 0."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from clrepro.seeding import Seeds
from hvcl_repro.layers import DenseMoVE, divergence
from hvcl_repro.supervised import penalties
from hvcl_repro.supervised.build import make
from hvcl_repro.supervised.methods.hvcl import SETTLED
from hvcl_repro.supervised.passes import Passes
from hvcl_repro.supervised.settings import SupervisedSettings

SMALL = SupervisedSettings(
    images="digits", method="hvcl-gr", hidden=8, n_exp=2, epochs=1, batch=8, generator_hidden=8, latent=2,
)  # fmt: skip
RNG = np.random.default_rng(0)
X, Y = tf.constant(RNG.random((16, 64)), tf.float32), tf.constant(RNG.integers(0, 2, 16))


def method(**options):
    return make(replace(SMALL, **options), (8, 8), 2, 3, Seeds(0))


def drawn_as(made, images):
    """Make the old generator give these images; returns a list with an entry per draw."""
    calls = []
    made.trainer.replay.old_generator.sample = lambda n: calls.append(1) or images[:n]
    return calls


def test_one_draw_a_step_serves_both_networks():
    made = method(generator_steps=3)
    calls = drawn_as(made, X[::-1])
    seen = []
    made.trainer.replay.loss, real = lambda x, old: seen.append(old) or real(x, old), made.trainer.replay.loss
    made.begin_task(0, 16)
    made.observe(X, Y, 0)
    assert calls == []
    assert seen == [None] * 3
    made.begin_task(1, 16)
    made.observe(X, Y, 1)
    assert calls == [1]
    for old in seen[3:]:
        np.testing.assert_array_equal(old, X[::-1])


@pytest.mark.parametrize("heads", ["shared", "task"])
def test_replayed_images_weigh_as_much_as_the_old_tasks(heads):
    made = method(method="fine-tune-gr", heads=heads)  # nothing is drawn but the images
    drawn_as(made, X[::-1])
    old = made.trainer.replay.old
    old.set_weights([w + 0.1 for w in old.get_weights()])
    made.begin_task(2, 16)
    of_old = [
        float(penalties.distillation(made.predict(X[::-1], t), old(X[::-1], t, training=False)))
        for t in ((0, 1) if heads == "task" else (0,))
    ]
    entropy = float(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(Y, made.predict(X, 2))))
    step = made.trainer.step(X, Y, 2)
    assert float(step.entropy) == pytest.approx(entropy, rel=1e-5)
    assert float(step.loss) == pytest.approx(entropy / 3 + 2 / 3 * np.mean(of_old), rel=1e-5)


def test_the_auto_encoder_weighs_all_tasks_alike():
    made = method()
    replay = made.trainer.replay
    bounds = tf.concat([tf.ones(16), 4.0 * tf.ones(16)], axis=0)  # of new images, of replayed ones
    replay.generator.elbo = lambda x, training: bounds[: len(x)]
    made.begin_task(0, 16)
    assert float(replay.loss(X, None)) == pytest.approx(-1.0)
    made.begin_task(3, 16)
    assert float(replay.loss(X, X)) == pytest.approx(-(1 + 3 * 4) / 4)


def test_the_kl_is_over_the_images_of_all_tasks():
    """Of both networks; without replay over those of one task.  The gates' terms are means over images."""
    options = {"e_beta": 0.3, "g_beta": 0.2, "generator_e_beta": 0.6, "generator_g_beta": 0.5}
    for name, t in (("hvcl-gr", 3), ("hvcl-vae", 1)):
        made = method(method=name, generator_exp=2, **options)
        made.begin_task(2, 50)
        for layers, expert, gate in (
            (made.net.moves, 0.3, 0.2), (made.trainer.replay.generator.moves, 0.6, 0.5),
        ):  # fmt: skip
            for layer in layers:
                assert float(layer.kl_weights) == pytest.approx(expert / (t * 50))
                assert float(layer.gating_kl_weight) == pytest.approx(gate)


def test_the_experts_kl_in_the_loss_is_multiplied_by_no_share():
    losses = []
    for e_beta in (0.0, 1e5):
        made = method(e_beta=e_beta, g_beta=0.0, bonus=0.0, noise="none", n_exp=1)
        drawn_as(made, X[::-1])
        for layer in made.net.moves:
            layer.consolidate()
            layer.mu.assign_add(0.1 * tf.ones_like(layer.mu))
        made.begin_task(1, 50)
        losses.append(float(made.trainer.step(X, Y, 1).loss))
    kl = sum(
        float(divergence.gaussian_kl(x.mu, tf.nn.softplus(x.rho), x.mu_0, tf.nn.softplus(x.rho_0)))
        for x in made.net.moves
    )
    assert losses[1] - losses[0] == pytest.approx(1e5 * kl / (2 * 50), rel=1e-3)


def test_the_gates_terms_see_replayed_images():
    made = method(e_beta=0.0, g_beta=1.0, bonus=0.0, noise="none")
    images = 0.1 * X[::-1]
    drawn_as(made, images)
    first = made.net.moves[0]
    for layer in made.net.moves:
        layer.consolidate()
    first.gate.assign_add(tf.constant(RNG.normal(size=first.gate.shape), tf.float32))
    made.begin_task(1, 16)
    made.trainer.step(X, Y, 1)
    both = tf.concat([X, images], axis=0)
    expected = divergence.gate_kl(first._logits(both, prior=False), first._logits(both, prior=True))
    (term,) = first.losses
    assert float(term) == pytest.approx(float(expected), rel=1e-5)


def test_terms_of_no_weight_are_neither_computed_nor_there(monkeypatch):
    made = method(e_beta=0.0, g_beta=0.0, bonus=0.0)
    made.begin_task(0, 16)
    for name in ("gaussian_kl", "gate_kl", "mutual_information", "wasserstein"):
        monkeypatch.setattr(divergence, name, lambda *_: pytest.fail("computed"))
    x, y = tf.constant((255 * X.numpy()).astype(np.uint8)), Y
    passes = Passes(made, 8)  # compiled: a loss left over from building would break the graph
    assert np.isfinite(passes.train(x, y, np.arange(16), 0))
    made.end_task(x.numpy(), 0)
    made.begin_task(1, 16)
    assert np.isfinite(passes.train(x, y, np.arange(16), 1))
    assert made.net.losses(1, every=True) == []


def test_a_settled_determinant_is_left_out_and_comes_back():
    layer = DenseMoVE(4, 2, diversity_bonus=1.0, seed=0)
    layer.build((None, 3))
    far = np.stack([np.full((3, 4), 9.0), np.full((3, 4), -9.0)], axis=-1)
    for mu, settled, out in ((far, SETTLED, True), (far, None, False), (0.01 * far, SETTLED, False)):
        layer.mu.assign(mu)
        layer.weigh(1.0, 1.0, settled=settled)
        layer(np.ones((2, 3), np.float32))
        assert ("diversity" in layer.omitted) == out
        assert len(layer.losses) == 4 - out


def test_another_weight_compiles_the_step_anew():
    made = method(e_beta=0.5, first_beta=0.0)
    made.begin_task(0, 16)
    first = made.variant(0)
    made.begin_task(1, 16)
    assert made.variant(1) != first
    assert made.variant(2) == made.variant(1)


def test_narrow_deviations_leave_the_kl_and_its_gradients_finite():
    """Deviations of softplus(-30) and below, a prior as narrow: Adam squares the gradients in float32."""
    for rho, rho_0 in ((-30.0, -30.0), (-30.0, -4.0), (-4.0, -30.0), (-100.0, -100.0), (-100.0, -4.0)):
        r, mu = tf.Variable(tf.fill([5, 2], rho)), tf.Variable(tf.fill([300, 5, 2], 0.5))
        with tf.GradientTape() as tape:
            kl = divergence.gaussian_kl(
                mu, tf.nn.softplus(r), tf.zeros_like(mu), tf.nn.softplus(tf.fill([5, 2], rho_0))
            )
        found = tape.gradient(kl, [mu, r])
        assert np.isfinite(kl)
        assert all(np.isfinite(np.square(g.numpy())).all() for g in found)
    same = tf.nn.softplus(tf.fill([5, 2], -30.0))
    assert float(divergence.gaussian_kl(tf.zeros((3, 5, 2)), same, tf.zeros((3, 5, 2)), same)) == 0.0


def test_both_adams_are_kept_and_both_networks_remembered():
    made = method()
    drawn_as(made, X[::-1])
    replay = made.trainer.replay
    made.begin_task(0, 16)
    made.observe(X, Y, 0)
    made.end_task((255 * X.numpy()).astype(np.uint8), 0)
    moments = [[v.numpy() for v in adam.variables()] for adam in (made.trainer.adam, replay.adam)]
    made.begin_task(1, 16)
    for kept, adam in zip(moments, (made.trainer.adam, replay.adam), strict=True):
        assert any(np.any(v) for v in kept[1:])
        for then, now in zip(kept, adam.variables(), strict=True):
            np.testing.assert_array_equal(then, now)
    for old, new in ((replay.old, made.net), (replay.old_generator, replay.generator)):
        for left, right in zip(old.weights, new.weights, strict=True):
            np.testing.assert_array_equal(left, right)


def test_the_auto_encoder_has_options_of_its_own():
    made = method(
        n_exp=4, noise="local", bonus=0.1, generator_exp=3, generator_noise="flipout", generator_bonus=0.7,
        generator_lr=0.25, lr=0.5,
    )  # fmt: skip
    replay = made.trainer.replay
    for layers, found in ((made.net.moves, (4, "local", 0.1)), (replay.generator.moves, (3, "flipout", 0.7))):
        for layer in layers:
            assert (layer.n_experts, layer.options["noise"], layer.options["diversity_bonus"]) == found
    assert (made.trainer.adam.lr, replay.adam.lr) == (0.5, 0.25)


def test_without_noise_of_weights_a_training_call_is_that_of_mean_weights():
    made = DenseMoVE(4, 1, noise="none", seed=0)
    x = RNG.normal(size=(3, 5)).astype(np.float32)
    np.testing.assert_array_equal(made(x, training=True), made(x, training=False))


def test_bound_of_the_generator_by_hand():
    generator = method(method="hvcl-vae", generator_exp=2).trainer.replay.generator
    start = generator.noise.generator.state.numpy()
    found = generator.elbo(X, training=False).numpy()
    generator.noise.generator.state.assign(start)
    mean, log_std = np.split(generator.encoder(X, training=False).numpy().astype(float), 2, axis=1)
    z = mean + np.exp(log_std) * generator.noise.normal(mean.shape, tf.float32).numpy()
    logits = generator.decoder(tf.constant(z, tf.float32), training=False)
    p = 1 / (1 + np.exp(-logits.numpy().astype(float)))
    x, s = X.numpy().astype(float), np.exp(log_std)
    likelihood = np.sum(x * np.log(p) + (1 - x) * np.log(1 - p), axis=1)
    kl = np.sum(-np.log(s) + (s**2 + mean**2) / 2 - 0.5, axis=1)
    np.testing.assert_allclose(found, likelihood - kl, rtol=1e-4)
