"""What the supervised methods add to the loss, by hand: old answers, held weights, terms of the layers."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from clrepro.seeding import Seeds
from hvcl_repro.supervised import penalties
from hvcl_repro.supervised.benchmarks import build, joined
from hvcl_repro.supervised.build import make
from hvcl_repro.supervised.measure import Measure
from hvcl_repro.supervised.methods import METHODS
from hvcl_repro.supervised.settings import METHODS as NAMES
from hvcl_repro.supervised.settings import SupervisedSettings
from hvcl_repro.supervised.train import rounds, run

SMALL = SupervisedSettings(
    images="digits", hidden=8, n_exp=2, epochs=1, batch=64, generator_hidden=8, latent=2, fisher_samples=20,
)  # fmt: skip
RNG = np.random.default_rng(0)
X, Y = tf.constant(RNG.random((16, 64)), tf.float32), tf.constant(RNG.integers(0, 2, 16))


def method(name, tasks=3, **options):
    return make(replace(SMALL, method=name, **options), (8, 8), 2, tasks, Seeds(0))


def kept_gradients(made):
    """Returns a list that will hold what Adam is given, instead of its being applied."""
    kept = []
    made.trainer.apply = kept.append
    return kept


def test_every_name_of_the_command_line_has_a_class():
    assert set(METHODS) == set(NAMES)


def test_terms_are_divided_by_the_images_and_the_first_task_is_nearly_free():
    made = method("hvcl", e_beta=0.3, g_beta=0.2, first_beta=0.01)
    for task, images, expert, gate in ((0, 50, 0.01 / 50, 0.01), (1, 100, 0.003, 0.2)):
        made.begin_task(task, images)
        for layer in made.net.moves:
            assert float(layer.kl_weights) == pytest.approx(expert)
            assert float(layer.gating_kl_weight) == pytest.approx(gate)


def test_old_answers_weigh_as_much_as_the_old_tasks():
    made = method("lwf")
    logits, loss = made.net(X, 0, training=False) + 1.0, tf.constant(6.0)
    made.old.set_weights([w + 0.1 for w in made.net.get_weights()])
    old = float(penalties.distillation(logits, made.old(X, 0, training=False)))
    assert float(made.with_old(loss, X, logits, 0)) == pytest.approx(6.0)
    assert float(made.with_old(loss, X, logits, 2)) == pytest.approx(2.0 + 2 / 3 * old)


def test_old_answers_of_all_old_heads_count_alike():
    made = method("lwf", heads="task")
    made.old.set_weights([w + 0.1 for w in made.net.get_weights()])
    pairs = [(made.net(X, t, training=False), made.old(X, t, training=False)) for t in range(2)]
    old = np.mean([float(penalties.distillation(*pair)) for pair in pairs])
    logits = made.net(X, 2, training=False)
    assert float(made.with_old(tf.constant(6.0), X, logits, 2)) == pytest.approx(2.0 + 2 / 3 * old, rel=1e-5)


def test_held_weights_are_pulled_to_their_anchor():
    made = method("ewc")
    kept = kept_gradients(made)
    made.observe(X, Y, 1)
    made.hold.importance[0].assign(3.0 * tf.ones_like(made.net.weights[0]))
    made.hold.anchor[0].assign(made.net.weights[0] - 0.5)
    made.observe(X, Y, 1)
    np.testing.assert_allclose(kept[1][0] - kept[0][0], 1.5 * np.ones((64, 8)), rtol=1e-4)
    np.testing.assert_array_equal(kept[1][1], kept[0][1])


def test_the_path_counts_the_tasks_own_gradient():
    made = method("si")
    weights = made.net.weights
    made.hold.importance[0].assign(100.0 * tf.ones_like(weights[0]))
    made.hold.anchor[0].assign(weights[0] - 1.0)
    start = [tf.identity(w) for w in weights]
    with tf.GradientTape() as tape:
        logits = made.net(X, 1, training=False)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(Y, logits))
    own = tape.gradient(loss, weights)
    made.observe(X, Y, 1)
    for omega, g, w, s in zip(made.path.omega, own, weights, start, strict=True):
        np.testing.assert_allclose(omega, -g * (w - s), rtol=1e-4, atol=1e-9)


def test_what_is_remembered_after_a_task():
    ewc, lwf = method("ewc", ewc_lambda=50.0), method("lwf")
    images = (255 * X.numpy()).astype(np.uint8)
    for made in (ewc, lwf):
        made.net.set_weights([w + 0.1 for w in made.net.get_weights()])
        made.end_task(images, 0)
    draws = Seeds(0).generator("fisher")
    rows = images[draws.choice(16, 16, replace=False)].astype(np.float32) / 255.0
    fisher = penalties.fisher(lambda x: ewc.predict(x, 0), ewc.net.weights, rows, draws)
    for held, anchor, f, w in zip(ewc.hold.importance, ewc.hold.anchor, fisher, ewc.net.weights, strict=True):
        np.testing.assert_allclose(held, 50.0 * f, rtol=1e-5)
        np.testing.assert_array_equal(anchor, w)
    for old, new in zip(lwf.old.get_weights(), lwf.net.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_task_begins_with_fresh_optimisers_and_re_init_with_fresh_weights():
    for name in ("fine-tune", "re-init"):
        made = method(name)
        fresh = made.net.get_weights()
        made.observe(X, Y, 0)
        learned = made.net.get_weights()
        made.begin_task(1, 16)
        assert all(not v.numpy().any() for v in made.trainer.adam.variables())
        expected = fresh if name == "re-init" else learned
        for left, right in zip(made.net.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(left, right)
        assert np.any(fresh[0] != learned[0])


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_head_of_ones_own_is_touched_by_its_task_alone(name):
    """Not even by Adam's moments of the task before, but for replay, which keeps teaching the old heads."""
    made = method(name, heads="task")
    made.begin_task(0, 16)
    made.observe(X, Y, 0)
    made.end_task((255 * X.numpy()).astype(np.uint8), 0)
    before = [[w.numpy() for w in head.weights] for head in made.net.heads]
    made.begin_task(1, 16)
    made.observe(X, Y, 1)
    moved = [
        any(np.any(old != new.numpy()) for old, new in zip(then, head.weights, strict=True))
        for then, head in zip(before, made.net.heads, strict=True)
    ]
    old_too = name in ("lwf", "re-init") or name.endswith("-gr")
    assert moved[1:] == [True, name == "re-init" and moved[2]]
    assert moved[0] or not old_too
    assert old_too or not moved[0]


def test_heads_answer_for_their_own_task():
    made = method("fine-tune", heads="task")
    made.net.heads[1].weights[-1].assign([50.0, 0.0])
    made.net.heads[2].weights[-1].assign([0.0, 50.0])
    x, measure = np.zeros((4, 64), np.uint8), Measure(made)
    for task, share in ((1, 1.0), (2, 0.0)):
        assert measure.accuracy(x, np.zeros(4, np.int64), task) == share
    assert len(method("fine-tune").net.heads) == 1


def test_steps_end_a_task_where_they_are_spent():
    assert rounds(25, epochs=4, steps=0, batch=10) == [25] * 4
    assert rounds(25, epochs=4, steps=8, batch=10) == [25, 25, 20]  # of 3, 3 and 2 batches
    assert rounds(25, epochs=4, steps=3, batch=10) == [25]


def test_drawn_networks_are_averaged_in_probability():
    made = method("fine-tune")
    images, labels = np.zeros((8, 64), np.uint8), np.zeros(8, np.int64)
    drawn, mean = tf.constant([[0.6, 0.4]]), tf.constant([[0.01, 0.99]])  # right a little, wrong for certain
    made.predict = lambda x, task: tf.repeat(tf.math.log(mean), len(x), axis=0)
    measure = Measure(made)
    measure.net = lambda x, task, training: tf.repeat(tf.math.log(drawn), len(x), axis=0)
    measure.net.head = lambda task: 0
    assert measure.accuracy(images, labels, 0) == 0.0
    assert measure.accuracy(images, labels, 0, samples=1) == 1.0


def test_joint_is_one_training_on_everything():
    settings = replace(SMALL, method="joint")
    benchmark = build(settings, Seeds(0).generator("tasks"), None)
    whole = joined(benchmark.stream)
    assert len(whole.x_train) == len(whole.y_train) == sum(len(task.y_train) for task in benchmark.stream)
    np.testing.assert_array_equal(whole.y_test, np.concatenate([task.y_test for task in benchmark.stream]))
    r = run(settings, benchmark, Seeds(0))
    assert np.isfinite(r.accuracy[-1]).all()
    assert np.isnan(r.accuracy[:-1]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_diverged_network_has_no_accuracy(value):
    made = method("fine-tune")
    images, labels = np.full((5, 64), 200, np.uint8), np.zeros(5, np.int64)
    measure = Measure(made)
    measure.accuracy(images, labels, 0)
    made.net.weights[-1].assign(tf.fill([2], np.float32(value)))  # the biases of the answers
    with pytest.raises(FloatingPointError, match=r"has diverged: its outputs reach inf; lower --lr"):
        measure.accuracy(images, labels, 0)
