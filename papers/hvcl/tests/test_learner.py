"""What the supervised methods add to the loss, by hand: old answers, held weights, terms of the layers."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from clrepro.seeding import Seeds
from hvcl_repro.layers import move_layers
from hvcl_repro.supervised import penalties
from hvcl_repro.supervised.benchmarks import build
from hvcl_repro.supervised.learner import Learner
from hvcl_repro.supervised.settings import SupervisedSettings
from hvcl_repro.supervised.train import _joined, run

SMALL = SupervisedSettings(
    images="digits", hidden=8, n_exp=2, epochs=1, batch=64, generator_hidden=8, latent=2, fisher_samples=20,
)  # fmt: skip
RNG = np.random.default_rng(0)
X, Y = tf.constant(RNG.random((16, 64)), tf.float32), tf.constant(RNG.integers(0, 2, 16))


def learner(method, **options):
    return Learner(replace(SMALL, method=method, **options), (8, 8), 2, Seeds(0))


def test_terms_are_divided_by_the_images_and_the_first_task_is_nearly_free():
    made = learner("hvcl", e_beta=0.3, g_beta=0.2, first_beta=0.01)
    for seen, images, expert, gate in ((0, 50, 0.01 / 50, 0.01), (1, 100, 0.003, 0.2)):
        made.tasks_seen = seen
        made.begin(images)
        for layer in move_layers(made.model):
            assert float(layer.kl_weights) == pytest.approx(expert)
            assert float(layer.gating_kl_weight) == pytest.approx(gate)


def test_old_answers_weigh_as_much_as_the_old_tasks():
    made = learner("lwf")
    logits, loss = made.model(X) + 1.0, tf.constant(6.0)
    made.old.set_weights([w + 0.1 for w in made.model.get_weights()])
    old = float(penalties.distillation(logits, made.old(X)))
    assert float(made._with_old(loss, X, logits, tf.constant(0.0))) == pytest.approx(6.0)
    assert float(made._with_old(loss, X, logits, tf.constant(2.0))) == pytest.approx(2.0 + 2 / 3 * old)


def test_replayed_images_weigh_as_much_as_the_old_tasks():
    made, images = learner("hvcl-gr"), X[::-1]
    made.old_generator.sample = lambda n: images[:n]
    answers, own = made.old(images), made.old(images) + 0.5 * tf.random.Generator.from_seed(0).normal((16, 2))
    made.model = lambda x, training: own  # as drawn weights would give another answer with each call
    replayed = float(penalties.distillation(own, answers))
    loss = tf.constant(6.0)
    assert float(made._with_old(loss, X, own, tf.constant(0.0))) == pytest.approx(6.0)
    assert float(made._with_old(loss, X, own, tf.constant(2.0))) == pytest.approx(2.0 + 2 / 3 * replayed)


def test_the_generator_weighs_all_tasks_alike():
    made = learner("hvcl-gr", bonus=0.0)
    made.begin(10**9)  # no terms of the layers
    bounds = tf.concat([tf.ones(16), 4.0 * tf.ones(16)], axis=0)  # of new images, of replayed ones
    scale, kept = tf.Variable(1.0), []
    made.generator.elbo = lambda x, training: scale * bounds[: len(x)]
    made.generator_weights = [scale]
    made.generator_optimizer = type("O", (), {"apply_gradients": lambda _, pairs: kept.extend(pairs)})()
    for model in made.generator.models:
        model(tf.zeros((1, model.input_shape[-1])))
    for seen in (0.0, 3.0):
        made._generator_step(X, tf.constant(seen))
    assert [float(gradient) for gradient, _ in kept] == pytest.approx([-1.0, -(1 + 3 * 4) / 4])


def test_held_weights_are_pulled_to_their_anchor():
    made, kept = learner("ewc"), []
    made.optimizer = type("O", (), {"apply_gradients": lambda _, pairs: kept.append([g for g, _ in pairs])})()
    made._step(X, Y, tf.constant(1.0))
    made.hold.importance[0].assign(3.0 * tf.ones_like(made.weights[0]))
    made.hold.anchor[0].assign(made.weights[0] - 0.5)
    made._step(X, Y, tf.constant(1.0))
    np.testing.assert_allclose(kept[1][0] - kept[0][0], 1.5 * np.ones((64, 8)), rtol=1e-4)
    np.testing.assert_array_equal(kept[1][1], kept[0][1])


def test_the_path_counts_the_tasks_own_gradient():
    made = learner("si")
    made.hold.importance[0].assign(100.0 * tf.ones_like(made.weights[0]))
    made.hold.anchor[0].assign(made.weights[0] - 1.0)
    start = [tf.identity(w) for w in made.weights]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(Y, made.model(X)))
    own = tape.gradient(loss, made.weights)
    made._step(X, Y, tf.constant(1.0))
    for omega, g, w, s in zip(made.path.omega, own, made.weights, start, strict=True):
        np.testing.assert_allclose(omega, -g * (w - s), rtol=1e-4, atol=1e-9)


def test_what_is_remembered_after_a_task():
    ewc, lwf, replay = learner("ewc", ewc_lambda=50.0), learner("lwf"), learner("hvcl-gr")
    images = (255 * X.numpy()).astype(np.uint8)
    decoder = replay.generator.models[1]
    decoder.set_weights([w + 0.1 for w in decoder.get_weights()])
    for made in (ewc, lwf, replay):
        made.model.set_weights([w + 0.1 for w in made.model.get_weights()])
        made.end(images)
        assert made.tasks_seen == 1
    draws = Seeds(0).generator("fisher")
    chosen = draws.choice(16, 16, replace=False)
    fisher = penalties.fisher(ewc.model, images[chosen].astype(np.float32) / 255.0, draws)
    for held, anchor, f, w in zip(ewc.hold.importance, ewc.hold.anchor, fisher, ewc.weights, strict=True):
        np.testing.assert_allclose(held, 50.0 * f, rtol=1e-5)
        np.testing.assert_array_equal(anchor, w)
    pairs = [(lwf.old, lwf.model), (replay.old, replay.model)]
    pairs += zip(replay.old_generator.models, replay.generator.models, strict=True)
    for mine, its in pairs:
        for old, new in zip(mine.get_weights(), its.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


def test_a_task_begins_with_fresh_optimisers_and_re_init_with_fresh_weights():
    for method in ("fine-tune", "re-init"):
        made = learner(method)
        fresh = made.model.get_weights()
        made._step(X, Y, tf.constant(0.0))
        learned = made.model.get_weights()
        made.begin(16)
        assert all(not v.numpy().any() for v in made.optimizer.variables())
        expected = fresh if method == "re-init" else learned
        for left, right in zip(made.model.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(left, right)
        assert np.any(fresh[0] != learned[0])


def test_drawn_networks_are_averaged_in_probability():
    made = learner("fine-tune")
    images, labels = np.zeros((8, 64), np.uint8), np.zeros(8, np.int64)
    drawn, mean = tf.constant([[0.6, 0.4]]), tf.constant([[0.01, 0.99]])  # right a little, wrong for certain
    made.model = lambda x, training: tf.repeat(tf.math.log(drawn if training else mean), len(x), axis=0)
    assert made.accuracy(images, labels) == 0.0
    assert made.accuracy(images, labels, samples=1) == 1.0


def test_bound_of_the_generator_by_hand():
    generator = learner("hvcl-vae").generator
    start = generator.noise.generator.state.numpy()
    found = generator.elbo(X, training=False).numpy()
    generator.noise.generator.state.assign(start)
    mean, log_std = np.split(generator.encoder(X).numpy().astype(float), 2, axis=1)
    z = mean + np.exp(log_std) * generator.noise.normal(mean.shape, tf.float32).numpy()
    p = 1 / (1 + np.exp(-generator.decoder(tf.constant(z, tf.float32)).numpy().astype(float)))
    x, s = X.numpy().astype(float), np.exp(log_std)
    likelihood = np.sum(x * np.log(p) + (1 - x) * np.log(1 - p), axis=1)
    kl = np.sum(-np.log(s) + (s**2 + mean**2) / 2 - 0.5, axis=1)
    np.testing.assert_allclose(found, likelihood - kl, rtol=1e-4)


def test_joint_is_one_training_on_everything():
    settings = replace(SMALL, method="joint")
    benchmark = build(settings, Seeds(0).generator("tasks"), None)
    joined = _joined(benchmark, settings)
    assert len(joined.x) == len(joined.y) == sum(len(task.y_train) for task in benchmark.stream)
    np.testing.assert_array_equal(joined.y_eval, np.concatenate([task.y_test for task in benchmark.stream]))
    r = run(settings, benchmark, Seeds(0))
    assert np.isfinite(r.accuracy[-1]).all()
    assert np.isnan(r.accuracy[:-1]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_diverged_network_has_no_accuracy(value):
    made = learner("fine-tune")
    images, labels = np.full((5, 64), 200, np.uint8), np.zeros(5, np.int64)
    made.accuracy(images, labels)
    made.model.trainable_weights[-1].assign(tf.fill([2], np.float32(value)))  # the biases of the answers
    with pytest.raises(FloatingPointError, match=r"has diverged: its outputs reach inf; lower --lr"):
        made.accuracy(images, labels)
